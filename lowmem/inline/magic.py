"""``%load_ext lowmem``, then ``%%lowmem --ram 10G``: a cell under a budget.

IPython lets no magic await. So a cell that needs it is rewritten before it runs: what
IPython makes of ``%%lowmem``, a call, becomes an awaited call of a twin that returns a
coroutine. Where IPython awaits nothing (``%autoawait off``) the cell is refused.
"""

from __future__ import annotations

import ast
import inspect
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from lowmem.base.errors import InternalError, UsageError
from lowmem.inline.guard import budget
from lowmem.inline.user_lines import headed
from lowmem.memory.machine import default_ram_budget_bytes, read_machine

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import CodeType

    from IPython.core.interactiveshell import InteractiveShell

_MAGIC, _TWIN = "lowmem", "lowmem_awaited"


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magic; IPython calls this for ``%load_ext lowmem``."""
    magics = BudgetMagics(shell)
    shell.register_magics(magics)
    transformers = shell.input_transformers_post
    former = [t for t in transformers if isinstance(t, _Awaiting)]
    for transformer in former:  # Of an extension that is loaded again.
        transformers.remove(transformer)
    transformers.append(_Awaiting(shell))


@magics_class
class BudgetMagics(Magics):
    """The magic of a cell under a budget."""

    @magic_arguments()
    @argument(
        "--ram",
        help="What the whole notebook process may have in use, such as 10G or 10GiB; "
        "what a job would be given by default where it is left out.",
    )
    @no_var_expand
    @cell_magic
    def lowmem(self, line: str, cell: str) -> object:
        """Run the cell under a RAM budget; a line that asks for too much raises."""
        __tracebackhide__ = True  # IPython leaves the frame out.
        given = parse_argstring(self.lowmem, line)
        code = _compiled(self._shell, cell)
        if code.is_awaiting:
            raise UsageError(
                "the cell awaits at its top level, where this shell awaits nothing. "
                "Switch it on by `%autoawait asyncio`, or run it by asyncio.run."
            )
        with budget(ram=given.ram or _default_bytes()) as used:
            value = code.run()
        sys.stderr.write(f"{used}\n")
        return value

    @no_var_expand
    @cell_magic
    def lowmem_awaited(self, line: str, cell: str) -> Awaitable[object]:
        """Return a cell that awaits as a coroutine; ``%%lowmem`` becomes this."""
        given = parse_argstring(self.lowmem, line)
        return _awaited(_compiled(self._shell, cell), given.ram)

    @property
    def _shell(self) -> InteractiveShell:
        if self.shell is None:
            raise InternalError(problem="the magic has no shell")
        return self.shell


def _default_bytes() -> int:
    """Return the budget of a job of which none is given."""
    return default_ram_budget_bytes(read_machine())


async def _awaited(code: _Code, ram: str | None) -> object:
    __tracebackhide__ = True
    with budget(ram=ram or _default_bytes()) as used:
        value = await code.run_awaiting()
    sys.stderr.write(f"{used}\n")
    return value


class _Awaiting:
    """What IPython has of a cell, rewritten where ``%%lowmem`` has to be awaited."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    def __call__(self, lines: list[str]) -> list[str]:
        """Return the lines of a cell, rewritten or as they are."""
        call = _call_of_magic("".join(lines)) if self._shell.autoawait else None
        if call is None or not self._awaits(call[1]):
            return lines
        line, cell = call
        arguments = f"{_TWIN!r}, {line!r}, {cell!r}"
        return [f"await get_ipython().run_cell_magic({arguments})\n"]

    def _awaits(self, cell: str) -> bool:
        source = self._shell.transform_cell(cell)
        flags = self._shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        try:
            code = compile(source, "a cell", "exec", flags, dont_inherit=True)
        except (SyntaxError, ValueError):
            return False  # The magic itself says so: it runs next.
        return _is_awaiting(code)


def _call_of_magic(source: str) -> tuple[str, str] | None:
    """Return line and cell of ``%%lowmem``; None where the source is something else."""
    if f"run_cell_magic('{_MAGIC}'" not in source:
        return None
    try:
        expression = ast.parse(source.strip(), mode="eval").body
    except SyntaxError:
        return None
    arguments = expression.args if isinstance(expression, ast.Call) else []
    texts = [a.value for a in arguments if isinstance(a, ast.Constant)]
    match texts:
        case [name, str(line), str(cell)] if name == _MAGIC:
            return line, cell
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    """A cell as code: its statements, and apart from them the expression that ends it."""

    statements: CodeType
    expression: CodeType | None
    names: dict[str, object]

    @property
    def is_awaiting(self) -> bool:
        """Whether any of it awaits."""
        return any(map(_is_awaiting, self._parts))

    @property
    def _parts(self) -> list[CodeType]:
        return [p for p in (self.statements, self.expression) if p is not None]

    def run(self) -> object:
        """Run it, and return the value of the expression; None without one."""
        __tracebackhide__ = True
        value: object = None
        for part in self._parts:
            value = eval(part, self.names)  # noqa: S307 - it is the user's own code
        return value

    async def run_awaiting(self) -> object:
        """Run it within an event loop."""
        __tracebackhide__ = True
        value: object = None
        for part in self._parts:
            value = eval(part, self.names)  # noqa: S307 - as above
            if _is_awaiting(part):
                value = await cast("Awaitable[object]", value)
        return value


def _is_awaiting(code: CodeType) -> bool:
    return bool(code.co_flags & inspect.CO_COROUTINE)


def _compiled(shell: InteractiveShell, cell: str) -> _Code:
    """Return the cell as code, under the cell's name.

    The line of the magic itself counts, so that lines are numbered as they are seen.
    """
    # The shell's count may be ahead by one while a cell runs; its inputs never are.
    number = len(shell.user_ns.get("In", ())) - 1
    source = headed(shell.transform_cell(cell), number)
    tree = shell.transform_ast(shell.compile.ast_parse(source))
    file = shell.compile.cache(source, number, raw_code=headed(cell, number))
    flags = shell.compile.flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    expression = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
        expression = compile(last, file, "eval", flags, dont_inherit=True)
    return _Code(
        statements=compile(tree, file, "exec", flags, dont_inherit=True),
        expression=expression,
        names=shell.user_ns,
    )

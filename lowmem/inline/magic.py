"""``%load_ext lowmem``, then ``%%lowmem --ram 10G``: a cell under a budget."""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

from IPython.core.magic import Magics, cell_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

from lowmem.base.errors import InternalError
from lowmem.inline.guard import budget
from lowmem.inline.places import headed

if TYPE_CHECKING:
    from types import CodeType

    from IPython.core.interactiveshell import InteractiveShell


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magic; IPython calls this for ``%load_ext lowmem``."""
    shell.register_magics(BudgetMagics)


@magics_class
class BudgetMagics(Magics):
    """The magic of a cell under a budget."""

    @magic_arguments()
    @argument(
        "--ram",
        required=True,
        help="What the whole notebook process may have in use, such as 10G or 10GiB.",
    )
    @no_var_expand
    @cell_magic
    def lowmem(self, line: str, cell: str) -> object:
        """Run the cell under a RAM budget; a line that asks for too much raises."""
        given = parse_argstring(self.lowmem, line)
        shell = self.shell
        if shell is None:
            raise InternalError(problem="the magic has no shell")
        statements, expression = _compiled(shell, cell)
        names = shell.user_ns
        value: object = None
        with budget(ram=given.ram) as used:
            exec(statements, names)  # noqa: S102 - the cell is the user's own code
            if expression is not None:
                value = eval(expression, names)  # noqa: S307 - as above
        sys.stderr.write(f"{used}\n")
        return value


def _compiled(shell: InteractiveShell, cell: str) -> tuple[CodeType, CodeType | None]:
    """Return the cell as code, its last expression apart, under the cell's name.

    The line of the magic itself counts, so that lines are numbered as they are seen.
    """
    # The shell's count may be ahead by one while a cell runs; its inputs never are.
    number = len(shell.user_ns.get("In", ())) - 1
    source = headed(shell.transform_cell(cell), number)
    tree = shell.transform_ast(shell.compile.ast_parse(source))
    file = shell.compile.cache(source, number, raw_code=headed(cell, number))
    flags = shell.compile.flags
    expression = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = ast.Expression(tree.body.pop().value)
        expression = compile(last, file, "eval", flags)
    return compile(tree, file, "exec", flags), expression

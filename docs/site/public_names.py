"""The public names of a package with signature and docstring, read from its source.

Read and not imported: half of them load NumPy, Zarr or Keras, and who builds the site has
none of these. A package says in its ``if TYPE_CHECKING:`` where each name is defined.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "lowmem",
    "lowmem.base",
    "lowmem.mapping",
    "lowmem.memory",
    "lowmem.stores",
    "lowmem.testing",
    "lowmem.training",
    "lowmem.worker",
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_PROPERTIES = ("property", "cached_property", "functools.cached_property")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One public name, or one public member of a class.

    Attributes
    ----------
    kind
        As Sphinx calls it: class, exception, function, data; method, property.
    signatures
        With the parentheses, one for each overload; of data its value.
    flags
        What a function is besides: async, classmethod, contextmanager, staticmethod.
    text
        Its docstring, or the comment above it.
    """

    name: str
    module: str
    kind: str
    signatures: tuple[str, ...]
    text: str
    flags: tuple[str, ...] = ()
    members: tuple[Entry, ...] = ()

    @property
    def has_example(self) -> bool:
        """Whether its docstring, or one of a member's, shows what it does."""
        return ">>> " in self.text or any(m.has_example for m in self.members)


def public_names(package: str) -> tuple[Entry, ...]:
    """Return the public names of a package, in the order of its ``__all__``.

    Raises
    ------
    LookupError
        If a name is defined nowhere.
    """
    homes = _imports(_parsed(_file(package)))
    return tuple(_entry(name, homes[name]) for name in _all_of(package))


def _all_of(package: str) -> list[str]:
    for node in _parsed(_file(package)).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    raise LookupError(f"{package} has no __all__")


def _file(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.Module) -> dict[str, str]:
    """Return the module of lowmem that each imported name comes from."""
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("lowmem.")
        and node.module is not None
        for alias in node.names
    }


def _entry(name: str, module: str) -> Entry:
    path = _file(module)
    nodes = [node for node in _parsed(path).body if name in _named(node)]
    if not nodes:
        raise LookupError(f"{name} is not defined in {module}")
    node = nodes[-1]
    if isinstance(node, ast.ClassDef):
        return _class(node, module)
    if isinstance(node, _FUNCTIONS):
        return _function(nodes, module, "function")
    assert isinstance(node, ast.Assign | ast.AnnAssign)  # noqa: S101 - `_named` gave it
    assert node.value is not None  # noqa: S101 - a public name has a value
    return Entry(
        name=name,
        module=module,
        kind="data",
        signatures=(ast.unparse(node.value),),
        text=_comment_above(path, node.lineno),
    )


def _named(node: ast.stmt) -> list[str]:
    if isinstance(node, (ast.ClassDef, *_FUNCTIONS)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [ast.unparse(target) for target in node.targets]
    return [ast.unparse(node.target)] if isinstance(node, ast.AnnAssign) else []


def _comment_above(path: Path, line: int) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()[: line - 1]
    found = []
    while lines and lines[-1].startswith("# "):
        found.append(lines.pop().removeprefix("# "))
    return "\n".join(reversed(found))


def _function(nodes: list[ast.stmt], module: str, kind: str) -> Entry:
    functions = [node for node in nodes if isinstance(node, _FUNCTIONS)]
    last = functions[-1]
    told = [f for f in functions if "overload" in _decorators(f)] or [last]
    decorators = {name.rpartition(".")[2] for name in _decorators(last)}
    flags = decorators & {"classmethod", "contextmanager", "staticmethod"}
    if isinstance(last, ast.AsyncFunctionDef):
        flags.add("async")
    is_bound = kind == "method" and "staticmethod" not in flags
    return Entry(
        name=last.name,
        module=module,
        kind=kind,
        signatures=tuple(_signature(f, is_bound=is_bound) for f in told),
        text=ast.get_docstring(last) or "",
        flags=tuple(sorted(flags)),
    )


def _signature(function: ast.AST, *, is_bound: bool, returns: bool = True) -> str:
    assert isinstance(function, _FUNCTIONS)  # noqa: S101 - for the type checker
    text = ast.unparse(function.args)
    if is_bound:
        # The object itself, which no caller gives; a positional-only mark after it too.
        text = text.partition(", ")[2].removeprefix("/, ")
        text = "" if text == "/" else text
    result = function.returns
    shown = f" -> {ast.unparse(result)}" if returns and result is not None else ""
    return f"({text}){shown}"


def _decorators(
    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef,
) -> list[str]:
    return [ast.unparse(d).partition("(")[0] for d in node.decorator_list]


def _class(node: ast.ClassDef, module: str) -> Entry:
    return Entry(
        name=node.name,
        module=module,
        kind="exception" if node.name.endswith("Error") else "class",
        signatures=(_of_making(node, module),),
        text=ast.get_docstring(node) or "",
        members=_members(node, module),
    )


def _of_making(node: ast.ClassDef, module: str) -> str:
    """Return the signature by which an object of a class is made."""
    if "Protocol" in map(ast.unparse, node.bases):
        return ""
    if "dataclass" in _decorators(node):
        return _of_fields(node)
    for cls, _ in _lineage(node, module):
        for function in cls.body:
            if isinstance(function, _FUNCTIONS) and function.name == "__init__":
                return _signature(function, is_bound=True, returns=False)
    # An exception of Python's own takes what it is given.
    return "" if node.name.endswith("Error") else "()"


def _of_fields(node: ast.ClassDef) -> str:
    marks = [ast.unparse(d) for d in node.decorator_list]
    words = ["*"] if any("kw_only=True" in mark for mark in marks) else []
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or "ClassVar" in ast.unparse(field):
            continue
        name = ast.unparse(field.target)
        if name.startswith("_"):
            continue
        default = "" if field.value is None else f" = {_default(field.value)}"
        words.append(f"{name}: {ast.unparse(field.annotation)}{default}")
    return f"({', '.join(words)})" if words != ["*"] else "()"


def _default(value: ast.expr) -> str:
    """Return the default of a field; a factory's as it is called."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        for keyword in value.keywords:
            if keyword.arg == "default_factory":
                return f"{ast.unparse(keyword.value)}()"
            if keyword.arg == "default":
                return ast.unparse(keyword.value)
    return ast.unparse(value)


def _members(node: ast.ClassDef, module: str) -> tuple[Entry, ...]:
    """Return the public methods and properties, those of lowmem's own bases too."""
    found: dict[str, Entry] = {}
    for cls, home in _lineage(node, module):
        functions = [f for f in cls.body if isinstance(f, _FUNCTIONS)]
        for name in dict.fromkeys(f.name for f in functions):
            if name.startswith("_") or name in found:
                continue
            found[name] = _member([f for f in functions if f.name == name], home)
    return tuple(found.values())


def _member(functions: list[ast.stmt], module: str) -> Entry:
    first = functions[0]
    assert isinstance(first, _FUNCTIONS)  # noqa: S101 - for the type checker
    if not set(_decorators(first)) & set(_PROPERTIES):
        return _function(functions, module, "method")
    kind = "" if first.returns is None else ast.unparse(first.returns)
    return Entry(
        name=first.name,
        module=module,
        kind="property",
        signatures=(kind,),
        text=ast.get_docstring(first) or "",
    )


def _lineage(node: ast.ClassDef, module: str) -> list[tuple[ast.ClassDef, str]]:
    """Return a class and those of its bases that lowmem defines, nearest first."""
    tree = _parsed(_file(module))
    homes = _imports(tree)
    found = [(node, module)]
    for base in map(ast.unparse, node.bases):
        home = homes.get(base, module)
        for other in _parsed(_file(home)).body:
            if isinstance(other, ast.ClassDef) and other.name == base:
                found += _lineage(other, home)
    return found

"""Whether a Python file can hold a job at all: told from its text, nothing is run.

To run a training script for ten hours in order to find that it defines no job would be a
bad joke. A job is made by `lowmem.job`, `lowmem.Job` and what else makes one, or comes from
a module that does so. Where the text leaves any doubt, the file may hold one.
"""

from __future__ import annotations

import ast
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

import lowmem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PACKAGE = "lowmem"
_MAKERS = {"Job", "job", "map"}
# Public names that make no job; a name that is not among them may.
_NO_JOBS = {"__version__", *lowmem.__all__} - _MAKERS


def may_hold_job(path: Path) -> bool:
    """Return whether a file may define a job; where it cannot be read as Python, it may.

    Notes
    -----
    What it imports is found, and its text read, but not imported. Followed are modules
    that lie beside the file; of an installed package, the module that is named.
    """
    return _may_hold(path, path.parent, set())


def _may_hold(path: Path, beside: Path, seen: set[Path]) -> bool:
    if path in seen:
        return False
    seen.add(path)
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return True  # Importing it says what is wrong.
    if any(_names_a_maker(node) for node in ast.walk(tree)):
        return True
    return any(_brings_a_job(module, path, beside, seen) for module in _imported(tree))


def _names_a_maker(node: ast.AST) -> bool:
    """Return whether a piece of a program may make a job by itself."""
    found = False
    match node:
        case ast.Import(names=names):
            # Another name for the package, or a module within it, may lead anywhere.
            found = any(
                _is_within(name.name) or (name.name == _PACKAGE and bool(name.asname))
                for name in names
            )
        case ast.ImportFrom(module=str() as module, names=names, level=0):
            is_maker = any(name.name not in _NO_JOBS for name in names)
            found = _is_within(module) or (module == _PACKAGE and is_maker)
        case ast.Attribute(value=ast.Name(id="lowmem"), attr=name):
            found = name not in _NO_JOBS
        case ast.Constant(value=str() as text):
            # `importlib.import_module("lowmem")` and its like.
            found = text == _PACKAGE or _is_within(text)
        case _:
            pass
    return found


def _is_within(module: str) -> bool:
    return module.startswith(f"{_PACKAGE}.")


def _imported(tree: ast.AST) -> Iterator[str]:
    """Yield the names of the modules that a program imports, relative ones as written."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = "." * level + (module or "")
                yield base
                # A name may be a module of the package, too.
                yield from (
                    f"{base}{'' if base.endswith('.') else '.'}{name.name}"
                    for name in names
                )
            case _:
                pass


def _brings_a_job(module: str, path: Path, beside: Path, seen: set[Path]) -> bool:
    top = module.lstrip(".").partition(".")[0]
    if not module.startswith(".") and (
        top == _PACKAGE or top in sys.stdlib_module_names
    ):
        return False
    for file in _files_of(module, path, beside):
        is_beside = file.is_relative_to(beside)
        if is_beside and _may_hold(file, beside, seen):
            return True
        if not is_beside and _tells_of_lowmem(file):
            return True
    return False


def _files_of(module: str, path: Path, beside: Path) -> Iterator[Path]:
    """Yield the Python files that importing a module would run, as far as they are found."""
    dots = len(module) - len(module.lstrip("."))
    folders = [str(beside), *sys.path]
    if dots:
        folders = [str(path.parents[min(dots, len(path.parents)) - 1])]
    for name in filter(None, module.lstrip(".").split(".")):
        spec = PathFinder.find_spec(name, folders)
        if spec is None:
            return
        if spec.origin is not None and spec.origin.endswith(".py"):
            yield path.__class__(spec.origin)
        folders = list(spec.submodule_search_locations or ())
        if not folders:
            return


def _tells_of_lowmem(file: Path) -> bool:
    try:
        return b"lowmem" in file.read_bytes()
    except OSError:
        return True

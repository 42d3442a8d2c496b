"""Find the function of a command line: ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION``.

Its file is found without importing anything (`function_file`), so that a user's word can
be asked for first; `load_function` then runs it, always compiled from its source.
"""

from __future__ import annotations

import sys
from importlib import import_module, util
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import OptionValueError
from lowmem.base.workspace import path_from_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType, ModuleType

    from lowmem.base.workspace import Workspace

_RULE = (
    "MODULE:FUNCTION or FILE.py:FUNCTION, a function of one block of rows, the module in "
    "the current folder or installed"
)


def load_function(
    text: str, space: Workspace, *, option: str = "FUNCTION"
) -> tuple[Callable[..., Any], Path]:
    """Return the function that ``text`` names, and the file it is read from.

    Parameters
    ----------
    option
        What names it, for messages.

    Raises
    ------
    OptionValueError
        If there is none, or its file lies in the workspace: what a mirror may have put
        there is not run unasked.
    """
    home, name = _parts(text, option)
    load = _from_file if home.endswith(".py") else _named
    module = load(text, home, space, option)
    function = getattr(module, name, None)
    if not callable(function):
        found = "no such name" if function is None else f"a {type(function).__name__}"
        raise _refusal(text, option, f" ({home} holds {found})")
    return function, Path(module.__file__ or sys.executable)


def function_file(text: str, space: Workspace, *, option: str = "FUNCTION") -> Path:
    """Return the file that a function is read from, without importing anything.

    Raises
    ------
    OptionValueError
        If there is none, or it lies in the workspace.
    """
    home, _ = _parts(text, option)
    if home.endswith(".py"):
        return _plain_file(text, home, space, option)
    found = module_file(home)
    if found is None:
        raise _refusal(text, option, f" (there is no module {home})")
    _refuse_inside(text, found, space, option)
    return found


def module_file(name: str) -> Path | None:
    """Return the file of a module of the current folder or installed, importing nothing."""
    here = str(Path.cwd())
    found = None
    searched = sys.path if here in sys.path else [here, *sys.path]
    for spec in _specs_of(name, searched):
        found = spec.origin if spec is not None else None
    return None if found is None else Path(found)


def import_by_source(name: str) -> ModuleType:
    """Import a module, compiled from its source."""
    finder = _CompiledAlone(name)
    sys.meta_path.insert(0, finder)
    try:
        return import_module(name)
    finally:
        sys.meta_path.remove(finder)


class _Compiled(SourceFileLoader):
    """Compiles a module's source, whatever ``__pycache__`` holds for it.

    A cached file is taken for the source by its time, its hash or nothing at all, and one
    that came with the source may hold any code. The user's word is for the source.
    """

    def get_code(self, fullname: str) -> CodeType:  # type: ignore[explicit-override]
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _CompiledAlone:
    """A finder of one module."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == self.name else None
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        spec.loader = _Compiled(name, spec.loader.path)
        return spec


def _parts(text: str, option: str) -> tuple[str, str]:
    home, _, name = text.rpartition(":")
    if not home or not name:
        raise _refusal(text, option)
    return home, name


def _refusal(text: str, option: str, why: str = "") -> OptionValueError:
    return OptionValueError(option=option, value=text, expected=_RULE + why)


def _named(text: str, home: str, space: Workspace, option: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    for place in _places_of(home):
        _refuse_inside(text, place, space, option)
    # What fails within the module is its own fault, to be seen with its lines.
    try:
        is_there = util.find_spec(home) is not None
    except (ModuleNotFoundError, ValueError):
        is_there = False
    if not is_there:
        raise _refusal(text, option, f" (there is no module {home})")
    return import_by_source(home)


def _places_of(home: str) -> Iterator[Path]:
    """Yield the files and folders that importing a module takes, without importing any."""
    for spec in _specs_of(home, None):
        if spec is None:
            return
        if spec.origin is not None:
            yield Path(spec.origin)
        yield from map(Path, spec.submodule_search_locations or ())


def _specs_of(home: str, places: list[str] | None) -> Iterator[ModuleSpec | None]:
    """Yield what is found of each package that a module lies in, then of itself.

    `util.find_spec` imports those packages.
    """
    names = home.split(".")
    for depth in range(1, len(names) + 1):
        spec = PathFinder.find_spec(".".join(names[:depth]), places)
        yield spec
        if spec is None:
            return
        places = list(spec.submodule_search_locations or ())


def _refuse_inside(text: str, path: Path, space: Workspace, option: str) -> None:
    if path.resolve().is_relative_to(space.root.resolve()):
        raise _refusal(text, option, f" (outside the workspace {space.root})")


def _plain_file(text: str, home: str, space: Workspace, option: str) -> Path:
    path = path_from_text(home)
    if not path.is_file():
        raise _refusal(text, option, f" ({path} is not there)")
    _refuse_inside(text, path, space, option)
    return path


def _from_file(text: str, home: str, space: Workspace, option: str) -> ModuleType:
    path = _plain_file(text, home, space, option)
    # Imports beside the file work, as they do for ``python FILE.py``.
    sys.path.insert(0, str(path.parent))
    loader = _Compiled(path.stem, str(path))
    spec = util.spec_from_file_location(path.stem, path, loader=loader)
    if spec is None:
        raise _refusal(text, option)
    module = util.module_from_spec(spec)
    sys.modules[path.stem] = module
    loader.exec_module(module)
    return module

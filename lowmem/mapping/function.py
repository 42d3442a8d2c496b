"""Find the function of a command line: ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION``."""

from __future__ import annotations

import sys
from importlib import import_module, util
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import OptionValueError
from lowmem.base.workspace import path_from_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from lowmem.base.workspace import Workspace

_RULE = (
    "MODULE:FUNCTION or FILE.py:FUNCTION, a function of one block of rows, the module in "
    "the current folder or installed"
)


def load_function(text: str, space: Workspace) -> tuple[Callable[..., Any], Path]:
    """Return the function that ``text`` names, and the file it is read from.

    Raises
    ------
    OptionValueError
        If there is none, or its file lies in the workspace: what a mirror may have put
        there is not run unasked.
    """
    home, _, name = text.rpartition(":")
    if not home or not name:
        raise _refusal(text)
    load = _from_file if home.endswith(".py") else _named
    module = load(text, home, space)
    function = getattr(module, name, None)
    if not callable(function):
        found = "no such name" if function is None else f"a {type(function).__name__}"
        raise _refusal(text, f" ({home} holds {found})")
    return function, Path(module.__file__ or sys.executable)


def _refusal(text: str, why: str = "") -> OptionValueError:
    return OptionValueError(option="FUNCTION", value=text, expected=_RULE + why)


def _named(text: str, home: str, space: Workspace) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    for place in _places_of(home):
        _refuse_inside(text, place, space)
    # What fails within the module is its own fault, to be seen with its lines.
    try:
        is_there = util.find_spec(home) is not None
    except (ModuleNotFoundError, ValueError):
        is_there = False
    if not is_there:
        raise _refusal(text, f" (there is no module {home})")
    return import_module(home)


def _places_of(home: str) -> Iterator[Path]:
    """Yield the files and folders that importing a module takes, without importing any.

    `util.find_spec` imports the packages that a module lies in.
    """
    names = home.split(".")
    places: list[str] | None = None
    for depth in range(1, len(names) + 1):
        spec = PathFinder.find_spec(".".join(names[:depth]), places)
        if spec is None:
            return
        if spec.origin is not None:
            yield Path(spec.origin)
        places = list(spec.submodule_search_locations or ())
        yield from map(Path, places)


def _refuse_inside(text: str, path: Path, space: Workspace) -> None:
    if path.resolve().is_relative_to(space.root.resolve()):
        raise _refusal(text, f" (outside the workspace {space.root})")


def _from_file(text: str, home: str, space: Workspace) -> ModuleType:
    path = path_from_text(home)
    if not path.is_file():
        raise _refusal(text, f" ({path} is not there)")
    _refuse_inside(text, path, space)
    # Imports beside the file work, as they do for ``python FILE.py``.
    sys.path.insert(0, str(path.parent))
    spec = util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise _refusal(text)
    module = util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module

"""Find the function of a command line: ``MODULE:FUNCTION`` or ``FILE.py:FUNCTION``."""

from __future__ import annotations

import sys
from importlib import import_module, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import OptionValueError
from lowmem.base.workspace import path_from_text

if TYPE_CHECKING:
    from collections.abc import Callable
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
    module = (
        _from_file(text, home, space) if home.endswith(".py") else _named(text, home)
    )
    function = getattr(module, name, None)
    if not callable(function):
        found = "no such name" if function is None else f"a {type(function).__name__}"
        raise _refusal(text, f" ({home} holds {found})")
    return function, Path(module.__file__ or sys.executable)


def _refusal(text: str, why: str = "") -> OptionValueError:
    return OptionValueError(option="FUNCTION", value=text, expected=_RULE + why)


def _named(text: str, home: str) -> ModuleType:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    # What fails within the module is its own fault, to be seen with its lines.
    try:
        is_there = util.find_spec(home) is not None
    except (ModuleNotFoundError, ValueError):
        is_there = False
    if not is_there:
        raise _refusal(text, f" (there is no module {home})")
    return import_module(home)


def _from_file(text: str, home: str, space: Workspace) -> ModuleType:
    path = path_from_text(home)
    if not path.is_file():
        raise _refusal(text, f" ({path} is not there)")
    if path.resolve().is_relative_to(space.root.resolve()):
        raise _refusal(text, f" (outside the workspace {space.root})")
    # Imports beside the file work, as they do for ``python FILE.py``.
    sys.path.insert(0, str(path.parent))
    spec = util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise _refusal(text)
    module = util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module

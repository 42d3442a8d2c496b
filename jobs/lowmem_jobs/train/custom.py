"""Find the file of a model of the user's own; imports nothing heavy."""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from pathlib import Path

from lowmem.base import OptionValueError


def find_source(reference: str) -> Path:
    """Return the file of ``MODULE:FUNCTION``, without importing anything.

    Raises
    ------
    OptionValueError
        If ``reference`` has another form, or there is no such module.
    """
    module, _, function = reference.partition(":")
    places: list[str] | None = [str(Path.cwd()), *sys.path]
    spec = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = PathFinder.find_spec(".".join(parts[:depth]), places) if places else None
        places = list(spec.submodule_search_locations or ()) if spec else None
    if not function or spec is None or spec.origin is None:
        raise OptionValueError(
            option="--model",
            value=reference,
            expected="MODULE:FUNCTION, the module a .py file in the current folder or "
            "installed",
        )
    return Path(spec.origin)

"""Find the file of a model of the user's own; imports nothing heavy."""

from __future__ import annotations

import json
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from lowmem.base import DataError, OptionValueError
from lowmem.stores import fingerprint


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


def code_inputs(model_file: Path) -> dict[str, str]:
    """Return the fingerprint of the code that opens a published model; none if none does.

    Raises
    ------
    DataError
        If its module is not there.
    """
    try:
        account = json.loads((model_file.parent / "training.json").read_bytes())
        reference = account["model"]["function"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    try:
        return {"code": fingerprint(find_source(reference))}
    except OptionValueError as error:
        raise DataError(
            thing=model_file,
            problem=f"was built by {reference}, which is not found",
            expected="its module in the current folder, or installed",
            todo="Run this in the folder that holds the module.",
        ) from error

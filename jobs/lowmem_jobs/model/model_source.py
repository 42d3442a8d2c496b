"""Find the file of a model of the user's own; imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base import DataError, OptionValueError, read_json
from lowmem.mapping import module_file
from lowmem.stores import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

# What `train` writes beside the models: the images that it never saw, and of a model with
# code of the user's own the function that builds it.
ACCOUNT = "training.json"
_HALVES = ("autoencoder", "encoder", "decoder")


def find_source(reference: str) -> Path:
    """Return the file of ``MODULE:FUNCTION``, without importing anything.

    Raises
    ------
    OptionValueError
        If ``reference`` has another form, or there is no such module.
    """
    module, _, function = reference.partition(":")
    source = module_file(module) if module and function else None
    if source is None:
        raise OptionValueError(
            option="--model",
            value=reference,
            expected="MODULE:FUNCTION, the module a .py file in the current folder or "
            "installed",
        )
    return source


def read_account(model_file: Path) -> dict[str, object]:
    """Return ``training.json`` beside a model; empty where there is none of `train`'s."""
    path = model_file.parent / ACCOUNT
    if not path.exists():
        return {}
    try:
        found = read_json(path)
    except DataError:
        return {}  # Somebody else's file of that name: the model is opened by its own.
    return found if isinstance(found, dict) else {}


def function_named(model_file: Path) -> str | None:
    """Return the function that builds a published model; None where its file will do."""
    if model_file.stem not in _HALVES:
        return None
    built = read_account(model_file).get("model")
    reference = built.get("function") if isinstance(built, dict) else None
    return reference if isinstance(reference, str) else None


def source_of(reference: str, model_file: Path) -> Path:
    """Return the file of the function that a published model names.

    Raises
    ------
    DataError
        If its module is not there.
    """
    try:
        return find_source(reference)
    except OptionValueError as error:
        raise DataError(
            thing=model_file,
            problem=f"was built by {reference}, which is not found",
            expected="its module in the current folder, or installed",
            todo="Run this in the folder that holds the module.",
        ) from error


def code_inputs(model_file: Path) -> dict[str, str]:
    """Return the fingerprint of the code that opens a published model; none if none does.

    Raises
    ------
    DataError
        If its module is not there.
    """
    reference = function_named(model_file)
    if reference is None:
        return {}
    return {"code": fingerprint(source_of(reference, model_file))}

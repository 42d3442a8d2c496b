"""How a model is named: ``FILE.py:FUNCTION``, or a ``.keras`` file without foreign code."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

from lowmem.base import DataError, OptionValueError, path_from_text
from lowmem_jobs.model.model_file import objects_in, refuse_unless_own

if TYPE_CHECKING:
    from pathlib import Path

_RULE = (
    "FILE.py:FUNCTION, whose function takes nothing and returns a Keras model, or "
    "FILE.keras"
)
BUILT_INSTEAD = (
    "Name the function that builds the model instead: --model FILE.py:FUNCTION, in Python "
    "lowmem.plan(model='FILE.py:FUNCTION')."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReference:
    """A model that was named.

    Attributes
    ----------
    function
        Of a Python file; None of a ``.keras`` file.
    """

    path: Path
    function: str | None


def reference_from_text(text: str) -> ModelReference:
    """Return what names a model.

    Raises
    ------
    OptionValueError
        If it is neither form, or there is no such file.
    """
    home, colon, function = text.rpartition(":")
    is_code = bool(colon) and home.endswith(".py") and function.isidentifier()
    if not is_code and not text.endswith(".keras"):
        raise OptionValueError(option="--model", value=text, expected=_RULE)
    path = path_from_text(home if is_code else text)
    if not path.is_file():
        expected = f"{_RULE}; there is no file {path}"
        raise OptionValueError(option="--model", value=text, expected=expected)
    return ModelReference(path=path, function=function if is_code else None)


def refuse_unless_plain(path: Path) -> None:
    """Refuse a ``.keras`` file that needs code, or leads anywhere else.

    Raises
    ------
    DataError
        Naming what it holds.
    """
    refuse_unless_own(path)
    try:
        with ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))
    except (BadZipFile, KeyError, OSError, ValueError) as error:
        raise DataError(
            thing=path,
            problem=f"is no model that Keras 3 has saved ({error})",
            expected="what model.save('FILE.keras') writes",
        ) from error
    for found in objects_in(config):
        name = _code_named(found)
        if name is not None:
            raise DataError(
                thing=path,
                problem=f"names {name}, code that is none of Keras' own",
                expected="a model of Keras' own layers, losses and metrics alone, since "
                "code out of a file is never run",
                todo=BUILT_INSTEAD,
            )


def _code_named(found: dict[str, Any]) -> str | None:
    """Return the name of what an object of a configuration needs from elsewhere.

    A function is named without a module, be it Keras' own or not: that is for Keras to
    find out, see `opening`.
    """
    if found.get("class_name") == "__lambda__":
        return "a lambda"
    if "module" not in found or "class_name" not in found:
        return None
    module, name = str(found["module"]), found["class_name"]
    if name == "function" or module.partition(".")[0] == "keras":
        return None
    return f"{name}" if module in {"None", "builtins"} else f"{module}.{name}"


def shapes_from_text(text: str | None) -> list[tuple[int, ...]]:
    """Return the shapes of a model's inputs, without the batch; none of no text.

    Examples
    --------
    >>> shapes_from_text("128,16;3"), shapes_from_text(None)
    ([(128, 16), (3,)], [])

    Raises
    ------
    OptionValueError
        If it is none.
    """
    if text is None:
        return []
    if not re.fullmatch(r"[1-9]\d*(,[1-9]\d*)*(;[1-9]\d*(,[1-9]\d*)*)*", text):
        raise OptionValueError(
            option="--input-shape",
            value=text,
            expected="sizes without the batch such as 128,16, and with several inputs "
            "one after the other: '128,16;3'",
        )
    return [tuple(map(int, one.split(","))) for one in text.split(";")]

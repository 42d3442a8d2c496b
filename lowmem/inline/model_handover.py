"""A Keras model of this process, handed to another: as a ``.keras`` file, never pickled."""

from __future__ import annotations

import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lowmem.base.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a `get_config` of the user's, or Keras, may raise of a model that no file can hold.
_UNSAVED = (
    AttributeError,
    LookupError,
    NotImplementedError,
    TypeError,
    ValueError,
)


@runtime_checkable
class KerasModel(Protocol):
    """What is used of a `keras.Model`; nothing of Keras is imported here."""

    name: str

    def save(self, filepath: str) -> None:
        """Write it to a file."""

    def get_compile_config(self) -> object:
        """Return what it was compiled with."""


@contextmanager
def named_model(model: object) -> Iterator[str]:
    """Give how another process finds a model: by its text, or by a file for the while.

    Raises
    ------
    ModelError
        If it is neither a text nor a Keras model, or one that no file can hold.
    """
    if isinstance(model, str | Path):
        yield str(model)
        return
    if not isinstance(model, KerasModel):
        raise ModelError(
            model=f"of type {type(model).__name__}",
            problem="is none of Keras'",
            expected="a keras.Model, 'FILE.keras' or 'FILE.py:FUNCTION'",
        )
    with tempfile.TemporaryDirectory(prefix="lowmem-model-") as folder:
        # Its name is the model's, so that what is told of it is understood.
        stem = "".join(c if c.isalnum() else "_" for c in model.name) or "model"
        file = Path(folder) / f"{stem}.keras"
        try:
            with warnings.catch_warnings():
                # Of an optimiser without a step, and of a lambda, which is refused later.
                warnings.simplefilter("ignore")
                model.save(str(file))
        except _UNSAVED as error:
            raise ModelError(
                model=model.name,
                problem=f"cannot be written to a .keras file ({error})",
                expected="a model that another process can open",
                todo="Name the function that builds it instead: "
                "lowmem.plan(model='FILE.py:FUNCTION').",
            ) from error
        yield str(file)

"""Load a Keras model file as an encoder, and run it in batches of one fixed size."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import keras
import numpy as np

from lowmem.base import DataError
from lowmem_jobs.model.code import rebuilt_parts
from lowmem_jobs.model.draws import draws_at_random, key_draws, may_draw
from lowmem_jobs.model.model_file import refuse_unless_own
from lowmem_jobs.model.parts import encoder_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# What Keras raises of a file that is damaged or none of its own. The last comes of one
# flipped bit, from the archive that a model file is.
_UNREADABLE = (ValueError, TypeError, OSError, KeyError, BadZipFile)


def load_encoder(
    path: Path, *, image_shape: tuple[int, ...] | None, word: str | None = None
) -> keras.Model:
    """Return the model in a file, cut after its layer ``z`` if it goes on behind it.

    Parameters
    ----------
    image_shape
        Of an image, or of another row; None of text.
    word
        The function that may be imported where the files beside name it.

    Raises
    ------
    DataError
        If the file cannot be read as a Keras model (code inside a file is never run),
        or takes other rows.
    """
    if image_shape is None:
        raise DataError(
            thing=path,
            problem="takes numbers",
            expected="an encoder of text: a function of a list of lines, --encoder "
            "FILE.py:FUNCTION",
        )
    model = read_model(path, word=word)
    taken = model.input_shape
    if not isinstance(taken, tuple) or not _fits(taken[1:], image_shape):
        raise DataError(
            thing=path,
            problem=f"takes images of shape {taken[1:]}"
            if isinstance(taken, tuple)
            else "takes several inputs",
            expected=f"{image_shape}, the shape of what is to be encoded",
            todo="Give the model that was trained on such images.",
        )
    return encoder_of(model)


def _fits(taken: tuple[int | None, ...], row_shape: tuple[int, ...]) -> bool:
    return len(taken) == len(row_shape) and all(
        size in {None, given} for size, given in zip(taken, row_shape, strict=True)
    )


def read_model(path: Path, *, word: str | None = None, todo: str = "") -> keras.Model:
    """Return the model in a file; code in a file is never run.

    A file that `train` published of a model with code of its own is opened by that code,
    see `lowmem_jobs.model.code`.

    Parameters
    ----------
    word
        The function that may be imported where the files beside name it.
    todo
        What the user may do where it cannot be read.

    Raises
    ------
    DataError
        If it is no model, or is damaged, or its code is no longer what it was, or none
        that the user has given their word for.
    """
    refuse_unless_own(path)
    if parts := rebuilt_parts(path, word=word):
        return getattr(parts, path.stem)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except _UNREADABLE as error:
        raise DataError(
            thing=path,
            problem=f"cannot be read ({_first_line(error)})",
            expected="a Keras model file of standard layers",
            todo=todo,
        ) from error


def _first_line(error: Exception) -> str:
    """Return the first line of a message that says anything, or the error's kind."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


class Encoder:
    """Encodes images in batches of one size.

    Parameters
    ----------
    seed
        What a layer draws that draws at random follows from it, and from the row.

    The last rows of a block are filled up with blank images: a batch of another size
    may be computed in another order, and would differ in its last digits.
    """

    def __init__(self, model: keras.Model, *, batch_size: int, seed: int = 0) -> None:
        self._model = model
        self._batch_size = batch_size
        self._seed = seed
        self._may_draw = may_draw(model)

    @property
    def latent_dim(self) -> int:
        """Length of a latent vector; outputs of more axes are flattened.

        Raises
        ------
        DataError
            If the model has several outputs, or one of unknown size.
        """
        shape = self._model.output_shape
        if not isinstance(shape, tuple) or None in shape[1:]:
            raise DataError(
                thing=f"model {self._model.name}",
                problem=f"returns shape {shape}",
                expected="one output of fixed size",
            )
        return prod(shape[1:])

    def draws(self, images: NDArray[Any]) -> bool:
        """Return whether the vectors of images are drawn at random."""
        return self._may_draw and draws_at_random(self._model, images)

    def encode(self, images: NDArray[Any], *, row: int = 0) -> NDArray[np.float32]:
        """Return the vectors of the images, shape (n, latent_dim).

        Parameters
        ----------
        row
            The first image's: where a layer draws, what it draws follows from it.
        """
        out = np.empty((len(images), self.latent_dim), np.float32)
        for start in range(0, len(images), self._batch_size):
            batch = images[start : start + self._batch_size]
            n_rows = len(batch)
            missing = self._batch_size - n_rows
            if missing:
                blank = np.zeros((missing, *batch.shape[1:]), batch.dtype)
                batch = np.concatenate([batch, blank])
            if self._may_draw:
                key_draws(self._model, self._seed, row + start)
            z = np.asarray(self._model.predict_on_batch(batch))
            out[start : start + n_rows] = z[:n_rows].reshape(n_rows, -1)
        return out

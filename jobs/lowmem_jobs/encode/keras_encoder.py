"""A Keras file as the encoder, in a session of Keras."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.training import keras_session
from lowmem_jobs.encode.job import batch_size_of
from lowmem_jobs.encode.number_types import held_numbers
from lowmem_jobs.model.encoder import Encoder, load_encoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem import Context
    from lowmem_jobs.encode.encoder_choice import EncoderChoice
    from lowmem_jobs.encode.row_source import RowSource


@contextmanager
def opened_keras(
    ctx: Context, choice: EncoderChoice, source: RowSource
) -> Iterator[KerasRows]:
    """Begin a session and load the encoder."""
    with keras_session(
        seed=ctx.seed, device=ctx.device, vram_budget_bytes=ctx.vram_budget_bytes
    ):
        model = load_encoder(
            choice.file, image_shape=source.row_shape, word=ctx.options["code"]
        )
        encoder = Encoder(model, batch_size=batch_size_of(ctx), seed=ctx.seed)
        yield KerasRows(encoder, choice.file, _dtype_of(model))


class KerasRows:
    """An encoder that is given no number which its model would take for another.

    Parameters
    ----------
    dtype
        What the model takes; None where it does not say.
    """

    def __init__(
        self, encoder: Encoder, file: Path, dtype: np.dtype[Any] | None
    ) -> None:
        self._encoder, self._file, self._dtype = encoder, file, dtype

    @property
    def latent_dim(self) -> int:
        """Length of a vector."""
        return self._encoder.latent_dim

    def draws(self, rows: NDArray[Any]) -> bool:
        """Return whether the vectors of rows are drawn at random."""
        return self._encoder.draws(self._held(rows))

    def encode(self, rows: NDArray[Any], *, row: int) -> NDArray[np.float32]:
        """Return the vectors of rows, of which ``row`` is the first."""
        return self._encoder.encode(self._held(rows), row=row)

    def _held(self, rows: NDArray[Any]) -> NDArray[Any]:
        if self._dtype is None:
            return rows
        return held_numbers(self._file, rows, self._dtype)


def _dtype_of(model: Any) -> np.dtype[Any] | None:  # noqa: ANN401 - of any backend
    """Return the type of the one input; None of a type that NumPy does not know."""
    taken = getattr(model, "inputs", None)
    try:
        dtype = np.dtype(taken[0].dtype) if taken else None
    except TypeError:
        return None
    return dtype if dtype is not None and dtype.kind in "iuf" else None

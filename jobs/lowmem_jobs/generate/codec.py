"""From vectors to images and back, in batches of one size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lowmem.base.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_COLOUR_CHANNELS = (1, 3)


class Model(Protocol):
    """What is needed of a Keras model."""

    def predict_on_batch(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs of one batch."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """Decoder and encoder of one model.

    Attributes
    ----------
    decoder
        Keras model from vectors (n, d) to images (n, h, w, c) in 0..1.
    encoder
        Keras model from images, as bytes 0..255, to vectors (n, d).
    micro_batch
        Rows in one computation. The last batch of all is filled up, so that a row's
        result never depends on where its array was cut.
    """

    decoder: Model
    encoder: Model
    micro_batch: int

    def images(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the images of ``z``, shape (n, h, w, c).

        Raises
        ------
        DataError
            If the decoder makes anything but finite images.
        """
        decoded = self._in_batches(self.decoder, z)
        is_image = decoded.ndim == 4 and decoded.shape[3] in _COLOUR_CHANNELS  # noqa: PLR2004 - n, h, w, c
        if not is_image or not np.isfinite(decoded).all():
            raise DataError(
                thing="the decoder",
                problem=f"made values of shape {decoded.shape[1:]}, or not finite",
                expected="images (height, width, 1 or 3) with values 0 to 1",
            )
        levels: NDArray[np.uint8] = np.rint(255.0 * decoded.clip(0.0, 1.0)).astype(
            np.uint8
        )
        return levels

    def vectors(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the vectors of ``images``, shape (n, d)."""
        return self._in_batches(self.encoder, images).astype(np.float32)

    def _in_batches(self, model: Model, rows: NDArray[Any]) -> NDArray[Any]:
        starts = range(0, len(rows), self.micro_batch)
        return np.concatenate([self._one_batch(model, rows, start) for start in starts])

    def _one_batch(self, model: Model, rows: NDArray[Any], start: int) -> NDArray[Any]:
        part = rows[start : start + self.micro_batch]
        missing = self.micro_batch - len(part)
        filled = np.pad(part, [(0, missing)] + [(0, 0)] * (rows.ndim - 1), mode="edge")
        return np.asarray(model.predict_on_batch(filled))[: len(part)]

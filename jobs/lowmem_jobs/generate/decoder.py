"""From vectors to images, in batches of one fixed size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lowmem.base import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_AXES_OF_IMAGES = 4
_CHANNELS = (1, 3)


class Model(Protocol):
    """What is needed of a Keras model."""

    def predict_on_batch(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return the outputs of one batch."""
        ...


class LatentDecoder:
    """Decodes vectors into images as bytes.

    The last batch is filled up with zeros: a batch of another size may be computed in
    another order, and an image would then depend on how its array was cut.
    """

    def __init__(self, model: Model, *, batch_size: int) -> None:
        self._model = model
        self._batch_size = batch_size

    @property
    def batch_size(self) -> int:
        """Vectors that are decoded at once."""
        return self._batch_size

    def images(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return the images of one or more vectors, shape (n, h, w, c).

        Raises
        ------
        DataError
            If the decoder makes anything but images of finite values.
        """
        starts = range(0, len(z), self._batch_size)
        parts = [self._batch(z[start : start + self._batch_size]) for start in starts]
        return np.concatenate(parts)

    def _batch(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        filled = np.zeros((self._batch_size, z.shape[1]), np.float32)
        filled[: len(z)] = z
        decoded = np.asarray(self._model.predict_on_batch(filled))[: len(z)]
        is_image = decoded.ndim == _AXES_OF_IMAGES and decoded.shape[3] in _CHANNELS
        if not is_image or not np.isfinite(decoded).all():
            raise DataError(
                thing="what the decoder returns",
                problem=f"has shape {decoded.shape[1:]}, or is not finite",
                expected="images (height, width, 1 or 3) of values 0 to 1",
            )
        levels: NDArray[np.uint8] = np.rint(255.0 * decoded.clip(0, 1)).astype(np.uint8)
        return levels

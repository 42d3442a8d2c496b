"""The loss of an image autoencoder: targets are the bytes of the images themselves."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from lowmem.stores import PIXEL_MAX

PixelLossName = Literal["mse", "mae", "bce"]


class PixelLoss(keras.losses.Loss):
    """Mean over the pixels of an image; targets in 0..255, predictions in 0..1.

    Targets may be uint8: they are scaled here, on the device, so that a batch crosses to
    it once, as bytes.
    """

    def __init__(self, kind: PixelLossName = "mse", **kwargs: object) -> None:
        super().__init__(**{"name": kind, **kwargs})
        self.kind = kind

    def call(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Return the loss of each image, shape (n,)."""
        target = ops.cast(y_true, y_pred.dtype) / PIXEL_MAX
        axes = tuple(range(1, len(y_pred.shape)))
        if self.kind == "mse":
            return ops.mean(ops.square(target - y_pred), axis=axes)
        if self.kind == "mae":
            return ops.mean(ops.abs(target - y_pred), axis=axes)
        return ops.mean(ops.binary_crossentropy(target, y_pred), axis=axes)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this loss."""
        return {**super().get_config(), "kind": self.kind}

"""The loss of an image autoencoder: targets are the bytes of the images themselves."""

from __future__ import annotations

from typing import Any, Literal

import keras
from keras import ops

from lowmem.stores import PIXEL_MAX

PixelLossName = Literal["mse", "mae", "bce"]


class PixelLoss(keras.losses.Loss):
    """Mean or sum over the values of an image; targets in 0..255, predictions in 0..1.

    Targets may be uint8: they are scaled here, on the device, so that a batch crosses to
    it once, as bytes.
    """

    def __init__(
        self,
        kind: PixelLossName = "mse",
        *,
        is_summed: bool = False,
        **kwargs: object,
    ) -> None:
        super().__init__(**{"name": kind, **kwargs})
        self.kind = kind
        self.is_summed = is_summed

    def call(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Return the loss of each image, shape (n,)."""
        target = ops.cast(y_true, y_pred.dtype) / PIXEL_MAX
        axes = tuple(range(1, len(y_pred.shape)))
        over_image = ops.sum if self.is_summed else ops.mean
        if self.kind == "mse":
            return over_image(ops.square(target - y_pred), axis=axes)
        if self.kind == "mae":
            return over_image(ops.abs(target - y_pred), axis=axes)
        return over_image(ops.binary_crossentropy(target, y_pred), axis=axes)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this loss."""
        own = {"kind": self.kind, "is_summed": self.is_summed}
        return {**super().get_config(), **own}


class VariationalLoss(keras.losses.Loss):
    """Reconstruction, summed over an image, plus a weighted divergence.

    Predictions hold both, shape (n, values of an image + 1), the divergence last. So each
    part has its mean over the images of an epoch as a metric: of a model with two outputs
    Keras weights the loss of each by the size that a batch had when its step was compiled,
    which is unknown where sizes differ.
    """

    def __init__(
        self, kind: PixelLossName = "mse", *, kl_weight: float = 1.0, **kwargs: object
    ) -> None:
        super().__init__(**{"name": "variational", **kwargs})
        self.kl_weight = kl_weight
        self._pixels = PixelLoss(kind=kind, is_summed=True)

    def call(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Return the loss of each image, shape (n,)."""
        divergence = self.kl_weight * self.divergence(y_true, y_pred)
        return self.reconstruction(y_true, y_pred) + divergence

    def reconstruction(
        self, y_true: keras.KerasTensor, y_pred: keras.KerasTensor
    ) -> keras.KerasTensor:
        """Return the first part, shape (n,)."""
        made = y_pred[:, :-1]
        return self._pixels.call(ops.reshape(y_true, ops.shape(made)), made)

    def divergence(
        self,
        _: keras.KerasTensor,
        y_pred: keras.KerasTensor,
    ) -> keras.KerasTensor:
        """Return the second part before it is weighted, shape (n,)."""
        return y_pred[:, -1]

    def parts(self) -> list[keras.metrics.Metric]:
        """Return both parts as metrics."""
        mean = keras.metrics.MeanMetricWrapper
        return [
            mean(self.reconstruction, name="reconstruction_loss"),
            mean(self.divergence, name="kl_loss"),
        ]

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds this loss."""
        own = {"kind": self._pixels.kind, "kl_weight": self.kl_weight}
        return {**super().get_config(), **own}

"""The default model: a convolutional autoencoder that takes images as bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

from lowmem.stores import PIXEL_MAX
from lowmem_jobs.model.loss import PixelLoss, PixelLossName

if TYPE_CHECKING:
    from collections.abc import Sequence

LATENT_LAYER = "z"


def build_autoencoder(
    *,
    input_shape: Sequence[int],
    latent_dim: int,
    filters: Sequence[int],
    batch_norm: bool,
) -> keras.Model:
    """Return the model: uint8 images (h, w, c) to reconstructions in 0..1.

    Each of ``filters`` is a convolution of stride 2; the decoder is their mirror. Any
    size will do: where a size is odd, the decoder's layer is one pixel too large and is
    cropped.

    Parameters
    ----------
    filters
        Channels of the encoder's convolutions, from the image inwards.
    latent_dim
        Length of the vector between the halves, the output of the layer ``z``.
    """
    inputs = keras.Input(tuple(input_shape), dtype="uint8", name="image")
    x = layers.Rescaling(1 / PIXEL_MAX, name="scale")(inputs)
    sizes = [input_shape[:2]]
    for level, width in enumerate(filters):
        x = layers.Conv2D(
            width, 3, strides=2, padding="same", use_bias=not batch_norm,
            name=f"down_{level}",
        )(x)  # fmt: skip
        x = _activated(x, f"down_{level}", batch_norm=batch_norm)
        sizes.append(x.shape[1:3])
    folded = x.shape[1:]
    x = layers.Flatten(name="flatten")(x)
    z = layers.Dense(latent_dim, name=LATENT_LAYER)(x)
    x = layers.Dense(folded[0] * folded[1] * folded[2], name="unfold")(z)
    x = layers.Reshape(folded, name="fold")(_activated(x, "unfold", batch_norm=False))
    for level in reversed(range(len(filters))):
        is_last = level == 0
        width = input_shape[2] if is_last else filters[level - 1]
        x = layers.Conv2DTranspose(
            width, 3, strides=2, padding="same", use_bias=is_last or not batch_norm,
            name=f"up_{level}",
        )(x)  # fmt: skip
        x = _cropped(x, sizes[level], f"crop_{level}")
        if not is_last:
            x = _activated(x, f"up_{level}", batch_norm=batch_norm)
    # float32 under mixed precision too: a loss in half precision loses its small steps.
    outputs = layers.Activation("sigmoid", dtype="float32", name="reconstruction")(x)
    return keras.Model(inputs, outputs, name="autoencoder")


def compile_autoencoder(
    model: keras.Model, *, loss: PixelLossName, learning_rate: float
) -> None:
    """Give the model the optimiser (Adam) and the loss on bytes."""
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate), loss=PixelLoss(kind=loss)
    )


def _activated(
    x: keras.KerasTensor, name: str, *, batch_norm: bool
) -> keras.KerasTensor:
    if batch_norm:
        x = layers.BatchNormalization(name=f"{name}_norm")(x)
    return layers.LeakyReLU(0.1, name=f"{name}_relu")(x)


def _cropped(x: keras.KerasTensor, size: Sequence[int], name: str) -> keras.KerasTensor:
    extra = (x.shape[1] - size[0], x.shape[2] - size[1])
    if extra == (0, 0):
        return x
    return layers.Cropping2D(((0, extra[0]), (0, extra[1])), name=name)(x)

"""The default model: a convolutional autoencoder that takes images as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import keras
from keras import layers

from lowmem.stores import PIXEL_MAX
from lowmem_jobs.model.loss import PixelLoss, PixelLossName

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

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
    encoding = encode_image(input_shape, filters=filters, batch_norm=batch_norm)
    z = layers.Dense(latent_dim, name=LATENT_LAYER)(encoding.features)
    decoding = decoding_layers(encoding, filters=filters, batch_norm=batch_norm)
    return keras.Model(encoding.image, through(decoding, z), name="autoencoder")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """The encoder up to the layer before its latent vector.

    Attributes
    ----------
    image, features
        Its input, and what a latent layer is to be put on: shape (n, k).
    sizes
        (height, width, channels) of the image, then of each convolution's output.
    """

    image: keras.KerasTensor
    features: keras.KerasTensor
    sizes: Sequence[Sequence[int]]


def encode_image(
    input_shape: Sequence[int], *, filters: Sequence[int], batch_norm: bool
) -> Encoding:
    """Return the convolutions of the default encoder, on a new input of bytes."""
    inputs = keras.Input(tuple(input_shape), dtype="uint8", name="image")
    x = layers.Rescaling(1 / PIXEL_MAX, name="scale")(inputs)
    sizes = [tuple(input_shape)]
    for level, width in enumerate(filters):
        x = layers.Conv2D(
            width, 3, strides=2, padding="same", use_bias=not batch_norm,
            name=f"down_{level}",
        )(x)  # fmt: skip
        x = through(_activation(f"down_{level}", batch_norm=batch_norm), x)
        sizes.append(x.shape[1:])
    features = layers.Flatten(name="flatten")(x)
    return Encoding(image=inputs, features=features, sizes=sizes)


def decoding_layers(
    encoding: Encoding, *, filters: Sequence[int], batch_norm: bool
) -> list[keras.Layer]:
    """Return the layers from a latent vector to a reconstruction in 0..1, in order."""
    sizes = encoding.sizes
    found = [layers.Dense(prod(sizes[-1]), name="unfold")]
    found += _activation("unfold", batch_norm=False)
    found.append(layers.Reshape(sizes[-1], name="fold"))
    for level in reversed(range(len(filters))):
        is_last = level == 0
        width = sizes[0][2] if is_last else filters[level - 1]
        found.append(layers.Conv2DTranspose(
            width, 3, strides=2, padding="same", use_bias=is_last or not batch_norm,
            name=f"up_{level}",
        ))  # fmt: skip
        found += _cropping(sizes[level + 1], sizes[level], f"crop_{level}")
        if not is_last:
            found += _activation(f"up_{level}", batch_norm=batch_norm)
    # float32 under mixed precision too: a loss in half precision loses its small steps.
    found.append(layers.Activation("sigmoid", dtype="float32", name="reconstruction"))
    return found


def through(several: Iterable[keras.Layer], x: keras.KerasTensor) -> keras.KerasTensor:
    """Return what layers make of ``x``, one after the other."""
    for layer in several:
        x = layer(x)
    return x


def compile_autoencoder(
    model: keras.Model, *, loss: PixelLossName, learning_rate: float
) -> None:
    """Give the model the optimiser (Adam) and the loss on bytes."""
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate), loss=PixelLoss(kind=loss)
    )


def _activation(name: str, *, batch_norm: bool) -> list[keras.Layer]:
    norm = [layers.BatchNormalization(name=f"{name}_norm")] if batch_norm else []
    return [*norm, layers.LeakyReLU(0.1, name=f"{name}_relu")]


def _cropping(
    small: Sequence[int], size: Sequence[int], name: str
) -> list[keras.Layer]:
    # A transposed convolution of stride 2 doubles what it gets.
    extra = (2 * small[0] - size[0], 2 * small[1] - size[1])
    if extra == (0, 0):
        return []
    return [layers.Cropping2D(((0, extra[0]), (0, extra[1])), name=name)]

"""The variational autoencoder: the default model whose latent vector is a distribution.

The encoder gives the mean ``z`` and the logarithm of the variance of a normal distribution
for each image, its posterior. What is decoded in training is a draw from it, written as
``mean + deviation * noise`` so that the gradient passes. The noise is a second input: who
trains decides what it is, so it can be the same wherever a training is cut. The loss of an
image is its reconstruction's, summed over the values of the image, plus the weight times
the divergence of the posterior from the standard normal distribution.

What is published takes images alone, and is made of Keras' own layers: the encoder gives
the mean, which the autoencoder decodes.

References
----------
Kingma & Welling (2014), "Auto-Encoding Variational Bayes", arXiv:1312.6114v10: equation 10
and, for the divergence, appendix B. The weight is that of Higgins et al. (2017), "beta-VAE",
equation 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras
from keras import layers, ops

from lowmem_jobs.model.autoencoder import (
    LATENT_LAYER,
    decoding_layers,
    encode_image,
    through,
)
from lowmem_jobs.model.loss import VariationalLoss
from lowmem_jobs.model.parts import Parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem_jobs.model.loss import PixelLossName


@dataclass(frozen=True, slots=True, kw_only=True)
class Variational:
    """A model to train, and what is published of it; they share their weights.

    Attributes
    ----------
    model
        Takes images and noise, shape (n, latent_dim); gives what `VariationalLoss` takes.
    """

    model: keras.Model
    parts: Parts


def build_variational(
    *,
    input_shape: Sequence[int],
    latent_dim: int,
    filters: Sequence[int],
    batch_norm: bool,
) -> Variational:
    """Return the model, its parameters those of `build_autoencoder`."""
    encoding = encode_image(input_shape, filters=filters, batch_norm=batch_norm)
    mean = layers.Dense(latent_dim, name=LATENT_LAYER)(encoding.features)
    log_variance = layers.Dense(latent_dim, name="z_log_variance")(encoding.features)
    decoding = decoding_layers(encoding, filters=filters, batch_norm=batch_norm)

    noise = keras.Input((latent_dim,), name="noise")
    drawn = mean + ops.exp(log_variance / 2) * noise
    made = layers.Flatten(dtype="float32", name="made")(through(decoding, drawn))
    divergence = ops.expand_dims(kl_divergence(mean, log_variance), axis=-1)
    vector = keras.Input((latent_dim,), name="vector")
    return Variational(
        model=keras.Model(
            [encoding.image, noise],
            layers.Concatenate(dtype="float32", name="loss_parts")([made, divergence]),
            name="variational_autoencoder",
        ),
        parts=Parts(
            autoencoder=keras.Model(
                encoding.image, through(decoding, mean), name="autoencoder"
            ),
            encoder=keras.Model(encoding.image, mean, name="encoder"),
            decoder=keras.Model(vector, through(decoding, vector), name="decoder"),
        ),
    )


def compile_variational(
    model: keras.Model, *, loss: PixelLossName, kl_weight: float, learning_rate: float
) -> None:
    """Give the model the optimiser (Adam) and the loss, with its parts as metrics."""
    both = VariationalLoss(kind=loss, kl_weight=kl_weight)
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate), loss=both, metrics=both.parts()
    )


def kl_divergence(
    mean: keras.KerasTensor, log_variance: keras.KerasTensor
) -> keras.KerasTensor:
    """Return the divergence of N(mean, variance) from N(0, 1), in nats, shape (n,).

    Parameters
    ----------
    mean, log_variance : shape (n, d)
        Of independent components.
    """
    terms = ops.square(mean) + ops.exp(log_variance) - 1 - log_variance
    return ops.sum(terms, axis=-1) / 2

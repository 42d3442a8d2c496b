"""The model that the options of `train` describe; light, since the planner reads it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowmem.base import OptionValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Smallest side in pixels, filters, latent size. The first row is the reference study's
# model: 12.5 million parameters for 96x96x3. The others keep its form at a cost that
# two cores bear: `benchmarks/whole_path.py` prints what they take.
_PRESETS = (
    (96, (64, 128, 256, 512), 256),
    (48, (32, 64, 128, 256), 64),
    (0, (32, 64, 128), 32),
)


# The variational autoencoder, and the weight of its divergence by default.
VAE, KL_WEIGHT = "vae", 1.0

# What a learning rate that is reduced is multiplied by; Keras' own choice.
REDUCTION = 0.1


def keeps_best(options: Mapping[str, Any]) -> bool:
    """Return whether the weights of the best epoch are kept beside the present ones."""
    return bool(options["early_stopping"]) or options["keep"] == "best"


def kl_weight_of(options: Mapping[str, Any]) -> float:
    """Return the weight of the divergence in the loss of a variational autoencoder."""
    given: float | None = options["kl_weight"]
    return KL_WEIGHT if given is None else given


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The default autoencoder, less the size of its images.

    Attributes
    ----------
    is_variational
        Whether it is the variational one.
    """

    filters: tuple[int, ...]
    latent_dim: int
    batch_norm: bool
    is_variational: bool = False


def architecture_from_options(
    options: Mapping[str, Any], image_shape: tuple[int, ...]
) -> Architecture:
    """Return what the options say, the preset for this image size filling the gaps.

    Raises
    ------
    OptionValueError
        If a filter count is not positive.
    """
    side = min(image_shape[:2])
    filters, latent_dim = next(row[1:] for row in _PRESETS if side >= row[0])
    chosen = tuple(options["filters"] or filters)
    if min(chosen) < 1:
        raise OptionValueError(
            option="--filters", value=chosen, expected="whole numbers above 0"
        )
    return Architecture(
        filters=chosen,
        latent_dim=options["latent_dim"] or latent_dim,
        batch_norm=options["batch_norm"],
        is_variational=options["autoencoder"] == VAE,
    )

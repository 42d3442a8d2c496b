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


# What a learning rate that is reduced is multiplied by; Keras' own choice.
REDUCTION = 0.1


def keeps_best(options: Mapping[str, Any]) -> bool:
    """Return whether the weights of the best epoch are kept beside the present ones."""
    return bool(options["early_stopping"]) or options["keep"] == "best"


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The default autoencoder, less the size of its images."""

    filters: tuple[int, ...]
    latent_dim: int
    batch_norm: bool


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
    )

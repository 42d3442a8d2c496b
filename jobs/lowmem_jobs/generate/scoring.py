"""Turn what was measured into scores.json: each score beside its baseline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.stats.scores import Spread, displacements, frechet_distance
from lowmem.stats.scores_images import peak_signal_to_noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem.stats.frame import Frame

# Axes whose variance is below this share of the largest count as that wide: along an
# unused axis of the latent space, float32 rounding would otherwise be far away.
EIGENVALUE_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """What the passes over vectors and images leave behind.

    Attributes
    ----------
    drawn, drawn_again : shape (n, d)
        Drawn vectors z', and E(D(z')).
    real, real_again : shape (m, d)
        Vectors z of real images, and E(D(z)); m may be 0.
    errors : shape (m, 2)
        Mean squared error and structural similarity of each real image's
        reconstruction.
    """

    drawn: NDArray[np.float32]
    drawn_again: NDArray[np.float32]
    real: NDArray[np.float32]
    real_again: NDArray[np.float32]
    errors: NDArray[np.float64]


def scores(measured: Measured, frame: Frame) -> dict[str, Any]:
    """Return the scores as JSON values; what cannot be measured is null."""
    white = {
        name: frame.white(getattr(measured, name), relative_floor=EIGENVALUE_FLOOR)
        for name in ("drawn", "drawn_again", "real", "real_again")
    }
    return {
        "unit": "standard deviations of the fitted distribution along its principal "
        f"axes (axes below {EIGENVALUE_FLOOR:g} of the largest variance count as that)",
        "round_trip": {
            "meaning": "how far E(D(z)) lies from z; small means that z is a vector "
            "which the model knows as an image",
            "generated": _spread(displacements(white["drawn"], white["drawn_again"])),
            "real": _spread(displacements(white["real"], white["real_again"])),
        },
        "frechet": _frechet(white),
        "reconstruction": _reconstruction(measured.errors),
    }


def _spread(values: NDArray[np.float64]) -> dict[str, Any] | None:
    spread = Spread.of(values)
    return None if spread is None else asdict(spread)


def _frechet(white: dict[str, NDArray[np.float64]]) -> dict[str, Any]:
    """Return distances that all compare n vectors with the same n real ones."""
    one_half, other_half = white["real"][::2], white["real"][1::2]
    n = min(len(white["drawn_again"]), len(other_half))
    reference = one_half[:n]
    return {
        "meaning": "distance to n vectors of real images; compare it with that of n "
        "other real images, since few vectors always look far apart",
        "n": n,
        "generated": frechet_distance(white["drawn_again"][:n], reference),
        "real_reconstructed": frechet_distance(
            white["real_again"][1::2][:n], reference
        ),
        "real": frechet_distance(other_half[:n], reference),
        "why_null": None if n > 1 else "needs 2 generated and 4 real images or more",
    }


def _reconstruction(errors: NDArray[np.float64]) -> dict[str, Any] | None:
    if not len(errors):
        return None
    mean_squared_error, similarity = (float(value) for value in errors.mean(axis=0))
    return {
        "n": len(errors),
        "mse": mean_squared_error,
        "psnr_db": peak_signal_to_noise(mean_squared_error),
        # Not a number where images are smaller than its window.
        "ssim": similarity if np.isfinite(similarity) else None,
    }

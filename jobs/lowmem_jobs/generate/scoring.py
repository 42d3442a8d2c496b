"""Score the vectors of a method, and real images in the same way: the baseline."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem_jobs.generate.prediction import SEARCH_BYTES
from lowmem_jobs.generate.search import HELD_OUT, distances
from lowmem_jobs.stats.scores import Spread, displacements, frechet_distance
from lowmem_jobs.stats.scores_images import peak_signal_to_noise
from lowmem_jobs.stats.scores_neighbours import manifold_scores, memorisation

if TYPE_CHECKING:
    from collections.abc import Generator

    from numpy.typing import NDArray

    from lowmem import CommitPoint, Context
    from lowmem_jobs.generate.committed_state import GenerationState
    from lowmem_jobs.generate.generation_task import Drawn, GenerationTask

    Floats = NDArray[np.float64]

REAL = "real"
# Of Kynkaanniemi et al. (2019) and Naeem et al. (2020).
N_NEIGHBOURS = 5
_FEWEST_ROWS = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealVectors:
    """Whitened vectors of real images, in two halves that are compared.

    Attributes
    ----------
    z, again : shape (n, d)
        z, and E(D(z)).
    n_compared
        Vectors in each set of a comparison: as many drawn ones, as many of either half.
    """

    z: Floats
    again: Floats
    n_compared: int

    @classmethod
    def of(cls, task: GenerationTask) -> RealVectors:
        """Return those of the images to compare with."""
        n_real = len(task.compared.rows)
        return cls(
            z=task.white(task.real.read(n_real)),
            again=task.white(task.real_again.read(n_real)),
            n_compared=min(task.n_scored, n_real // 2),
        )

    @property
    def reference(self) -> Floats:
        """What everything is compared with: n vectors of real images."""
        return self.z[::2][: self.n_compared]

    @property
    def others(self) -> Floats:
        """As many vectors of other real images."""
        return self.z[1::2][: self.n_compared]

    @property
    def others_again(self) -> Floats:
        """E(D(z)) of the other real images."""
        return self.again[1::2][: self.n_compared]


def score(
    ctx: Context, task: GenerationTask, state: GenerationState
) -> Generator[CommitPoint, None, None]:
    """Score the real images, then the vectors of each method, one a step."""
    real = RealVectors.of(task)
    for drawn in (None, *task.drawn):
        found = dict(state.scores)
        name = drawn.name if drawn else REAL
        if name in found:
            continue
        found[name] = _of_method(task, state, drawn, real) if drawn else _of_real(real)
        ctx.progress(task.n_steps, task.n_steps, f"scores of {name}")
        yield state.point(scores=found)


def reconstruction(task: GenerationTask) -> dict[str, Any] | None:
    """Return how well real images are reconstructed; None where there are none."""
    errors = task.errors.read(len(task.compared.rows))
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


def _of_real(real: RealVectors) -> dict[str, Any]:
    """Return the baseline: real images against as many others."""
    return {
        "round_trip": _spread(displacements(real.z, real.again)),
        "frechet": frechet_distance(real.others, real.reference),
        "frechet_reconstructed": frechet_distance(real.others_again, real.reference),
        "neighbours": _neighbours(real.reference, real.others),
        "neighbours_reconstructed": _neighbours(real.reference, real.others_again),
    }


def _of_method(
    task: GenerationTask, state: GenerationState, drawn: Drawn, real: RealVectors
) -> dict[str, Any]:
    z = task.white(drawn.z.read(task.n_scored))
    again = task.white(drawn.z_again.read(task.n_scored))
    n_broken = state.violations.get(drawn.name, 0)
    compared = again[: real.n_compared] if drawn.source.is_sample else again[:0]
    return {
        "promise": drawn.source.promise,
        "violations": None if drawn.source.promise is None else n_broken,
        "round_trip": _spread(displacements(z, again)),
        "frechet": frechet_distance(compared, real.reference),
        "neighbours": _neighbours(real.reference, compared),
        "nearest": _nearest(state, drawn.name),
    }


def _spread(values: Floats) -> dict[str, Any] | None:
    spread = Spread.of(values)
    return None if spread is None else asdict(spread)


def _neighbours(real: Floats, generated: Floats) -> dict[str, float] | None:
    if min(len(real), len(generated)) < _FEWEST_ROWS:
        return None
    found = manifold_scores(
        real, generated, n_neighbours=N_NEIGHBOURS, memory_bytes=SEARCH_BYTES
    )
    names = ("precision", "recall", "density", "coverage")
    return None if found is None else {name: getattr(found, name) for name in names}


def _nearest(state: GenerationState, name: str) -> dict[str, Any] | None:
    """Return how near the training images are, beside held-out ones' distances."""
    generated, held_out = distances(state, name), distances(state, HELD_OUT)
    if generated is None:
        return None
    found = None if held_out is None else memorisation(generated, held_out)
    return {
        "generated": _spread(generated),
        "held_out": None if held_out is None else _spread(held_out),
        "copies": None if found is None else asdict(found),
    }

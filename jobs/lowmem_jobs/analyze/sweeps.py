"""What each pass over the rows gathers; the arithmetic itself is in `lowmem_jobs.stats`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem_jobs.analyze.vectors import is_usable
from lowmem_jobs.stats.histograms import Histograms
from lowmem_jobs.stats.moments import Moments
from lowmem_jobs.stats.pairs import PairSums
from lowmem_jobs.stats.projections import ProjectionSample, random_directions
from lowmem_jobs.stats.radius import RadiusSample
from lowmem_jobs.stats.trimming import count_survivors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from lowmem_jobs.analyze.component_columns import Columns
    from lowmem_jobs.analyze.component_frames import ComponentFrame
    from lowmem_jobs.analyze.stages import Arrays
    from lowmem_jobs.stats.trimming import Cut

    Floats = NDArray[np.float64]
    Keep = Callable[[Floats], Floats]

# In standard deviations. The reference study took bins of width 0.25 in its own units.
_HISTOGRAM = {"lower": -8.0, "upper": 8.0, "n_bins": 128}


class _Sweep:
    """A pass that writes nothing beside its arrays."""

    def flush(self) -> None:
        """Do nothing: there is nothing to make durable."""


class MomentsSweep(_Sweep):
    """Moments of all rows; the place where bad rows are met first."""

    def __init__(self, n_features: int, refuse: Callable[[], None]) -> None:
        self._moments = Moments.empty(n_features)
        self._refuse = refuse

    def add(self, start: int, block: Floats) -> None:  # noqa: ARG002 - of all sweeps
        """Take in the rows from ``start``."""
        if not is_usable(block).all():
            self._refuse()
        self._moments = self._moments.merge(Moments.of(block))

    def arrays(self) -> Arrays:
        """Return the state."""
        return self._moments.arrays()

    def restore(self, arrays: Arrays) -> None:
        """Take up a state."""
        self._moments = Moments.from_arrays(arrays)


class HistogramSweep(_Sweep):
    """Histograms of the standardised components of all rows."""

    def __init__(self, frame: ComponentFrame) -> None:
        self._frame = frame
        self._histograms = empty_histograms(frame.centre.size)

    def add(self, start: int, block: Floats) -> None:  # noqa: ARG002 - of all sweeps
        """Take in the rows from ``start``."""
        self._histograms = self._histograms.updated(self._frame.standardised(block))

    def arrays(self) -> Arrays:
        """Return the counts."""
        return {"counts": self._histograms.counts}

    def restore(self, arrays: Arrays) -> None:
        """Take up the counts."""
        self._histograms = histograms_from(arrays["counts"])


class SurvivorsSweep(_Sweep):
    """How many rows survive each cut, and the moments of those that do.

    Rows are summed by the shell between two cuts that they lie in, so the moments of
    all cuts take no more products than those of one.

    Parameters
    ----------
    cut
        Tells how far out a row is.
    cuts
        Cuts whose survivors are counted.
    shell_cuts
        Cuts whose survivors' moments are wanted, ascending.
    """

    def __init__(
        self, *, cut: Cut, cuts: Sequence[float], shell_cuts: Sequence[float]
    ) -> None:
        self._cut, self._cuts, self._shell_cuts = cut, cuts, tuple(shell_cuts)
        self._survivors = np.zeros(len(cuts), dtype=np.int64)
        self._shells = [Moments.empty(cut.centre.size) for _ in shell_cuts]

    def add(self, start: int, block: Floats) -> None:  # noqa: ARG002 - of all sweeps
        """Take in the rows from ``start``."""
        distance = self._cut.distance(block)
        self._survivors = self._survivors + count_survivors(distance, self._cuts)
        shell = np.searchsorted(self._shell_cuts, distance, side="left")
        self._shells = [
            moments.merge(Moments.of(block[shell == k]))
            for k, moments in enumerate(self._shells)
        ]

    def arrays(self) -> Arrays:
        """Return the counts and the moments of each shell."""
        shells = {
            f"shell{k}_{name}": array
            for k, moments in enumerate(self._shells)
            for name, array in moments.arrays().items()
        }
        return {"survivors": self._survivors, **shells}

    def restore(self, arrays: Arrays) -> None:
        """Take up a state."""
        self._survivors = np.asarray(arrays["survivors"])
        self._shells = list(shells_from(arrays, len(self._shells)))


def shells_from(arrays: Arrays, n_shells: int) -> Iterator[Moments]:
    """Yield the moments of each shell, one after the other."""
    for k in range(n_shells):
        head = f"shell{k}_"
        named = {
            name.removeprefix(head): array
            for name, array in arrays.items()
            if name.startswith(head)
        }
        yield Moments.from_arrays(named)


class ShapeSweep:
    """Everything of standardised rows, in both frames; writes the columns of one."""

    def __init__(
        self,
        *,
        raw: ComponentFrame,
        pca: ComponentFrame,
        chosen: ComponentFrame,
        keep: Keep,
        columns: Columns,
        seed: int,
    ) -> None:
        d = raw.centre.size
        self._frames = {"raw": raw, "pca": pca}
        self._directions = random_directions(seed, pca.deviation > 0)
        self._projections = ProjectionSample.empty()
        self._chosen, self._keep, self._columns = chosen.name, keep, columns
        self._histograms = {name: empty_histograms(d) for name in self._frames}
        self._sums = PairSums.empty(d)
        self._radius = RadiusSample.empty(max(int((pca.deviation > 0).sum()), 1))
        # Of the principal axes; in the sums as well, where those are chosen.
        self._products = np.zeros((d, d)) if chosen.name == "raw" else self._sums.p11
        self._powers = np.zeros((2, d))

    def add(self, start: int, block: Floats) -> None:  # noqa: ARG002 - of all sweeps
        """Take in the rows from ``start``."""
        kept = self._keep(block)
        for name, frame in self._frames.items():
            x = frame.standardised(kept)
            self._histograms[name] = self._histograms[name].updated(x)
            if name == self._chosen:
                self._columns.write(self._sums.n_samples, x)
                self._sums = self._sums.updated(x)
            if name == "pca":
                self._add_axes(x)
            # Or it would be held while the next frame's is made.
            del x

    def _add_axes(self, x: Floats) -> None:
        squares = np.square(x)
        self._radius = self._radius.updated(squares.sum(axis=1))
        self._projections = self._projections.updated(x, self._directions)
        third = np.einsum("ij,ij->j", squares, x)
        self._powers = self._powers + np.stack([third, np.square(squares).sum(axis=0)])
        if self._chosen == "raw":
            self._products = self._products + x.T @ x
        else:
            self._products = self._sums.p11

    def arrays(self) -> Arrays:
        """Return the state."""
        products = {"products": self._products} if self._chosen == "raw" else {}
        return {
            **self._sums.arrays(),
            **products,
            "histogram_raw": self._histograms["raw"].counts,
            "histogram_pca": self._histograms["pca"].counts,
            "powers": self._powers,
            "projections": self._projections.histograms.counts,
            **radius_arrays(self._radius),
        }

    def restore(self, arrays: Arrays) -> None:
        """Take up a state."""
        self._sums = PairSums.from_arrays(arrays)
        if self._chosen == "raw":
            self._products = np.asarray(arrays["products"])
        for name in self._frames:
            self._histograms[name] = histograms_from(arrays[f"histogram_{name}"])
        self._powers = np.asarray(arrays["powers"])
        self._radius = radius_from(arrays, self._radius.n_dimensions)
        self._projections = projections_from(arrays)

    def flush(self) -> None:
        """Wait until the columns are on the disk."""
        self._columns.flush()


class ColumnsSweep:
    """Writes a few standardised components of one frame as columns."""

    def __init__(
        self,
        *,
        frame: ComponentFrame,
        chosen: NDArray[np.int64],
        keep: Keep,
        columns: Columns,
    ) -> None:
        self._frame, self._chosen = frame, chosen
        self._keep, self._columns = keep, columns
        self._n_rows = 0

    def add(self, start: int, block: Floats) -> None:  # noqa: ARG002 - of all sweeps
        """Take in the rows from ``start``."""
        kept = self._keep(block)
        self._columns.write(self._n_rows, self._frame.standardised(kept, self._chosen))
        self._n_rows += len(kept)

    def arrays(self) -> Arrays:
        """Return how many rows were written."""
        return {"n_rows": np.array(self._n_rows)}

    def restore(self, arrays: Arrays) -> None:
        """Go on behind the rows that were written."""
        self._n_rows = int(np.asarray(arrays["n_rows"]).item())

    def flush(self) -> None:
        """Wait until the columns are on the disk."""
        self._columns.flush()


def empty_histograms(n_features: int) -> Histograms:
    """Return histograms of standardised components, without rows."""
    return Histograms.empty(
        n_features,
        lower=_HISTOGRAM["lower"],
        upper=_HISTOGRAM["upper"],
        n_bins=int(_HISTOGRAM["n_bins"]),
    )


def histograms_from(counts: NDArray[Any]) -> Histograms:
    """Return histograms of standardised components with these counts."""
    return replace(empty_histograms(len(counts)), counts=np.asarray(counts))


def projections_from(arrays: Arrays) -> ProjectionSample:
    """Return the sample of projections whose counts these arrays hold."""
    return ProjectionSample.empty().with_counts(np.asarray(arrays["projections"]))


def radius_arrays(radius: RadiusSample) -> Arrays:
    """Return the state of a radius sample; `radius_from` is the inverse."""
    return {
        "radius_n": np.array(radius.n_samples),
        "radius_r4": np.array(radius.sum_r4),
        "radius_counts": radius.histogram.counts,
    }


def radius_from(arrays: Arrays, n_dimensions: int) -> RadiusSample:
    """Return the radius sample that `radius_arrays` described."""
    empty = RadiusSample.empty(n_dimensions)
    counts = np.asarray(arrays["radius_counts"])
    return replace(
        empty,
        n_samples=int(np.asarray(arrays["radius_n"]).item()),
        sum_r4=float(np.asarray(arrays["radius_r4"]).item()),
        histogram=replace(empty.histogram, counts=counts),
    )

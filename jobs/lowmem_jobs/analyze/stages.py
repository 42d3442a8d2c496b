"""The order of the stages of an analysis, and how each is cut and continued.

A stage that is done leaves its outcome in a file of the staging folder, so a commit
carries only the state of the stage under way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lowmem import CommitPoint
from lowmem.base import make_folder, storage_errors, sync_file

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from numpy.typing import NDArray

    from lowmem import Context
    from lowmem_jobs.analyze.vectors import Latents

    Arrays = Mapping[str, NDArray[Any]]
    Points = Generator[CommitPoint, None, None]
    Outcome = Generator[CommitPoint, None, Arrays]

# Passes in which the inner core is sought.
CORE_STAGES = tuple(f"core-{number}" for number in range(12))

STAGES = (
    "moments",
    "histograms",
    "survivors",
    "turning",
    *CORE_STAGES,
    "axes",
    "shape",
    "truth",
    "pairs",
    "portraits",
    "results",
)


class Sweep(Protocol):
    """What one pass over the rows gathers."""

    def add(self, start: int, block: NDArray[np.float64]) -> None:
        """Take in the rows from ``start``."""
        ...

    def arrays(self) -> Arrays:
        """Return all that was gathered, enough to go on from here."""
        ...

    def restore(self, arrays: Arrays) -> None:
        """Take up what `arrays` returned."""
        ...

    def flush(self) -> None:
        """Make durable what was written beside."""
        ...


class AnalysisState:
    """Where the analysis stands, and what its earlier stages found.

    Parameters
    ----------
    context
        Of the job.
    n_steps
        About how many steps the whole job has, for its progress.
    """

    def __init__(self, context: Context, *, n_steps: int) -> None:
        self._context = context
        self._n_steps = n_steps
        self._n_done = int(context.state.get("step", 0))
        self._stage = str(context.state.get("stage", STAGES[0]))
        self._position = int(context.state.get("position", 0))
        self._outcomes = context.staging / "outcomes"
        make_folder(self._outcomes)

    def sweep(self, stage: str, latents: Latents, sweep: Sweep) -> Outcome:
        """Feed all rows to ``sweep``; return its arrays at the end."""
        if self.is_done(stage):
            return self.outcome(stage)
        yield from self.passes(stage, latents, sweep)
        return (yield from self.end(stage, sweep.arrays()))

    def passes(self, stage: str, latents: Latents, sweep: Sweep) -> Points:
        """Feed all rows to ``sweep``, and leave the end of the stage to the caller."""
        if self._position:
            sweep.restore(self._context.arrays)
        for start, block in latents.blocks_from(self._position):
            sweep.add(start, block)
            position = start + len(block)
            yield self._point(stage, position, sweep.arrays, sweep.flush)
        # The next commit counts on the end of the sweep, committed or not.
        sweep.flush()

    def skip_to(self, stage: str) -> Points:
        """Go past all stages up to this one: they have nothing to do."""
        if not self.is_done(stage):
            yield from self.end(stage, {})

    def resumed(self) -> tuple[int, Arrays]:
        """Return position and arrays of the stage under way; (0, {}) at its start."""
        return self._position, self._context.arrays if self._position else {}

    def step(
        self,
        stage: str,
        position: int,
        arrays: Callable[[], Arrays],
        flush: Callable[[], None] | None = None,
    ) -> Points:
        """Offer a commit within a stage that is no sweep."""
        yield self._point(stage, position, arrays, flush)

    def end(self, stage: str, outcome: Arrays) -> Outcome:
        """Keep the outcome of a stage and go to the next."""
        for name, array in outcome.items():
            path = self._outcomes / f"{stage}.{name}.npy"
            with storage_errors(path):
                np.save(path, array)
            sync_file(path)
        sync_file(self._outcomes)
        self._stage = STAGES[STAGES.index(stage) + 1]
        self._position = 0
        yield CommitPoint(state=self._state(self._stage, 0))
        return outcome

    def is_done(self, stage: str) -> bool:
        """Return whether a stage lies behind."""
        return STAGES.index(stage) < STAGES.index(self._stage)

    def outcome(self, stage: str) -> Arrays:
        """Return the outcome of a stage that lies behind."""
        prefix = f"{stage}."
        return {
            file.name.removeprefix(prefix).removesuffix(".npy"): np.load(
                file, allow_pickle=False
            )
            for file in sorted(self._outcomes.glob(f"{prefix}*.npy"))
        }

    def _point(
        self,
        stage: str,
        position: int,
        arrays: Callable[[], Arrays],
        flush: Callable[[], None] | None,
    ) -> CommitPoint:
        self._n_done += 1
        done = min(self._n_done, self._n_steps)
        self._context.progress(done, self._n_steps, stage)

        def pairs() -> Iterator[tuple[str, NDArray[Any]]]:
            yield from arrays().items()

        return CommitPoint(
            items=1, state=self._state(stage, position), arrays=pairs, flush=flush
        )

    def _state(self, stage: str, position: int) -> dict[str, Any]:
        return {"stage": stage, "position": position, "step": self._n_done}

"""Where the job stands: all that a commit holds, so that any stage can be cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem import CommitPoint
from lowmem.base import sync_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lowmem import Context
    from lowmem_jobs.generate.generation_task import GenerationTask


class GenerationState:
    """The state of the job, carried from stage to stage and from attempt to attempt.

    Attributes
    ----------
    arrays
        Arrays that belong to the state, by name.
    """

    def __init__(self, ctx: Context, task: GenerationTask) -> None:
        self._ctx = ctx
        self._task = task
        self._state: dict[str, Any] = dict(ctx.state)
        self.arrays: dict[str, NDArray[Any]] = dict(ctx.arrays)
        self._flushes: list[Callable[[], None]] = []

    @property
    def n_drawn(self) -> int:
        """Vectors drawn, of all methods together."""
        return int(self._state.get("drawn", 0))

    @property
    def violations(self) -> Mapping[str, int]:
        """Vectors of each method that break its promise."""
        found: Mapping[str, int] = self._state.get("violations", {})
        return found

    @property
    def n_revisited(self) -> int:
        """Real images that were reconstructed."""
        return int(self._state.get("revisited", 0))

    @property
    def n_searched(self) -> int:
        """Rows of the latents among which the nearest were looked for."""
        return int(self._state.get("searched", 0))

    @property
    def scores(self) -> Mapping[str, dict[str, Any]]:
        """What each method scored, and real images."""
        found: Mapping[str, dict[str, Any]] = self._state.get("scores", {})
        return found

    def is_flushed_by(self, flush: Callable[[], None]) -> None:
        """Have ``flush`` called before each commit from now on."""
        self._flushes.append(flush)

    def point(self, *, items: int = 0, **reached: object) -> CommitPoint:
        """Return the place where a commit holds everything up to ``reached``."""
        self._state |= reached
        return CommitPoint(
            items=items, state=dict(self._state), arrays=self._held, flush=self._flush
        )

    def _held(self) -> list[tuple[str, NDArray[np.generic]]]:
        return list(self.arrays.items())

    def _flush(self) -> None:
        """Wait until the files of all stages are on the disk.

        A commit counts on all of them: the last steps of a stage may go without one of
        their own.
        """
        for flush in self._flushes:
            flush()
        for file in self._task.files:
            file.flush()
        for folder in sorted({drawn.folder for drawn in self._task.drawn}):
            sync_file(folder)
            sync_file(folder.parent)
        sync_file(self._ctx.staging)

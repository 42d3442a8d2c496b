"""The files by which a program that knows nothing of lowmem takes part in resume.

All of it is told to the program by its environment, see docs/exec.md:

- a *state folder*, as it was when it was committed last, empty at first;
- a *marker*: the program creates it to ask for a commit, and lowmem removes it once the
  state folder is durable as it stands;
- a file of *progress*, whose last line counts.

Files, since every language has them, and a shell too.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lowmem.base.clock import timestamp
from lowmem.base.files import make_folder, remove, storage_errors
from lowmem.protocol.messages import Cycle, Progressed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.base.clock import Clock
    from lowmem.base.workspace import Workspace
    from lowmem.checkpoints.generations import Newest
    from lowmem.checkpoints.manifest import Phase

_PROGRESS = re.compile(rb"(\d{1,18})(?:[ \t/]+(\d{1,18}))?(?:[ \t]+(.*))?")
# Of the file of progress, its end is read.
_TAIL_BYTES = 4096
_DONE = "done"


def progress_from_line(line: bytes) -> Progressed | None:
    r"""Return what a line of progress says; None if it is none.

    Examples
    --------
    >>> progress_from_line(b"3 10 reading")
    Progressed(done=3, total=10, note='reading')
    >>> progress_from_line(b"3/10").total, progress_from_line(b"half of it")
    (10, None)
    """
    found = _PROGRESS.fullmatch(line.strip())
    if found is None:
        return None
    done, total, note = found.groups()
    return Progressed(
        done=int(done),
        total=None if total is None else int(total),
        note=(note or b"").decode(errors="replace"),
    )


@dataclass(slots=True, kw_only=True)
class ExecFiles:
    """What one job's program and lowmem exchange, over its attempts.

    Attributes
    ----------
    newest
        The commit that is gone on from; None for none.
    """

    space: Workspace
    job: str
    recipe: Mapping[str, object]
    clock: Clock
    newest: Newest | None = field(init=False)
    _next: int = 0
    _done: int = 0
    _done_before: int = 0
    _began_s: float = 0.0
    _began_at: str = ""
    _seen: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.newest = self._newest()

    def _newest(self) -> Newest | None:
        checkpoints = self.space.checkpoints(self.job)
        if not checkpoints.exists():
            return None
        # What makes and checks commits takes 1 MiB, which most programs never need while
        # they run.
        from lowmem.checkpoints.generations import newest_whole  # noqa: PLC0415

        return newest_whole(checkpoints)

    @property
    def next_cycle(self) -> int:
        """Index of the cycle under way."""
        return self._next

    def begin(self) -> None:
        """Put everything as the next attempt is to find it."""
        folder = self.space.desk(self.job)
        remove(folder)
        make_folder(folder)
        state = self.space.state(self.job)
        self.newest = self._newest()
        if self.newest is None:
            remove(state)
            make_folder(state)
            self._next = self._done = 0
        else:
            from lowmem.checkpoints.folder_commit import restore_folder  # noqa: PLC0415

            restore_folder(self.newest.path, state)
            manifest = self.newest.manifest
            self._next = manifest.generation + 1
            self._done = int(manifest.state.get(_DONE, 0))
        self._seen = (0, 0)
        self._begin_cycle()

    def environment(self) -> dict[str, str]:
        """Return what tells the program where all this is."""
        desk = self.space.desk(self.job)
        return {
            "LOWMEM_WORKSPACE": str(self.space.root),
            "LOWMEM_STATE": str(self.space.state(self.job)),
            "LOWMEM_COMMIT": str(desk / "commit"),
            "LOWMEM_PROGRESS": str(desk / "progress"),
        }

    def is_commit_wanted(self) -> bool:
        """Return whether the program waits for a commit."""
        return os.path.lexists(self.space.desk(self.job) / "commit")

    def answer(self) -> None:
        """Tell the program that its commit is durable."""
        remove(self.space.desk(self.job) / "commit")

    def progress(self) -> Progressed | None:
        """Return how far the program says that it is; None if it says nothing new."""
        path = self.space.desk(self.job) / "progress"
        try:
            status = path.stat()
            seen = (status.st_size, status.st_mtime_ns)
            if seen == self._seen:
                return None
            with path.open("rb") as stream:
                stream.seek(max(0, status.st_size - _TAIL_BYTES))
                lines = stream.read().splitlines(keepends=True)
        except OSError:
            return None  # It has none, or it is being replaced.
        self._seen = seen
        # The last may still be being written, unless it is the only one.
        whole = [line for line in lines if line.endswith(b"\n")] or lines
        found = progress_from_line(whole[-1]) if whole else None
        if found is not None:
            self._done = found.done
        return found

    def commit(self, settings: dict[str, int], phase: Phase) -> Cycle:
        """Make the state folder durable as it stands; return the cycle that ends so.

        Raises
        ------
        LowmemError
            If it cannot be; then the former commit counts.
        """
        from lowmem.checkpoints.folder_commit import commit_folder  # noqa: PLC0415
        from lowmem.checkpoints.manifest import Manifest  # noqa: PLC0415

        self.progress()
        began_s = self.clock.monotonic()
        manifest = Manifest(
            generation=self._next,
            recipe=dict(self.recipe),
            cycle=self._cycle(settings, commit_seconds=0.0),
            phase=phase,
            state={_DONE: self._done},
        )
        state, checkpoints = (
            self.space.state(self.job),
            self.space.checkpoints(self.job),
        )
        with storage_errors(state):
            commit_folder(checkpoints, manifest, state)
        cycle = self._cycle(settings, commit_seconds=self.clock.monotonic() - began_s)
        self._next += 1
        self._begin_cycle()
        return cycle

    def _begin_cycle(self) -> None:
        self._done_before = self._done
        self._began_s = self.clock.monotonic()
        self._began_at = timestamp(self.clock.now())

    def _cycle(self, settings: dict[str, int], *, commit_seconds: float) -> Cycle:
        return Cycle(
            index=self._next,
            items=max(0, self._done - self._done_before),
            started_at=self._began_at,
            seconds=self.clock.monotonic() - self._began_s,
            commit_seconds=commit_seconds,
            settings=settings,
        )

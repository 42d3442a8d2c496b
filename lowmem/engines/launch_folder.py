"""What a launch and its shards tell each other, in a folder of the shared workspace.

A launch writes names that are used once, as all that shards share:

- ``beat.N``: it is alive. A shard elsewhere that sees no new one for a minute, by its own
  clock, or no folder any more, belongs to no launch: it stops.
- ``stop.N.SIGNAL``: every shard is to be sent that signal.
- ``begun.INDEX.ATTEMPT``: a shard was started, by a worker elsewhere.
- ``INDEX.log``: what each shard prints.
- ``ended.*``, ``array.*``: what a SLURM array tells, see `lowmem.engines.slurm`.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.files import remove
from lowmem.shards.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lowmem.base.workspace import Workspace

_LAUNCHES = "launches"
_BEAT, _STOP = "beat.", "stop."
_STOP_NAME = re.compile(r"stop\.(\d{6})\.(SIG[A-Z0-9]+)", re.ASCII)
# seconds between two beats, and for how long a shard waits for the next.
BEAT_S = 10.0
PATIENCE_S = 60.0


def launches_part(job: str) -> str:
    """Return the part of a workspace that holds the launches of a job, and their lock."""
    return f"shards/{job}/{_LAUNCHES}"


def former_launches(folder: Path) -> list[LaunchFolder]:
    """Return the folders of a job's launches, all of which but one have ended."""
    found = sorted(folder.iterdir()) if folder.is_dir() else ()
    return [LaunchFolder(path) for path in found if path.is_dir()]


def new_launch(space: Workspace, job: str) -> LaunchFolder:
    """Return the folder of a launch that begins; it is made by its first beat."""
    return LaunchFolder(space.shards / job / _LAUNCHES / os.urandom(8).hex())


@dataclass(frozen=True, slots=True)
class LaunchFolder:
    """The folder of one launch."""

    path: Path

    def log(self, index: int) -> Path:
        """Return the file of what a shard prints."""
        return self.path / f"{index}.log"

    def names(self) -> list[str] | None:
        """Return the names of what is there; None where the folder is gone."""
        return list(Folder(self.path).names("")) if self.path.is_dir() else None

    def tell(self, name: str, data: bytes = b"") -> None:
        """Write a file under a name of its own."""
        Folder(self.path).create(name, [data])

    def beat(self, number: int) -> None:
        """Say that the launch is alive."""
        self.tell(f"{_BEAT}{number:09d}")
        Folder(self.path).remove(f"{_BEAT}{number - 2:09d}")

    def stop(self, count: int, number: int) -> None:
        """Have every shard sent a signal."""
        self.tell(f"{_STOP}{count:06d}.{signal.Signals(number).name}")

    def begin(self, index: int, attempt: int) -> bool:
        """Note that a shard is started; False where this very start was noted before."""
        name = f"begun.{index}.{attempt}"
        if name in (self.names() or ()):
            return False
        self.tell(name)
        return True

    def is_stopped(self) -> bool:
        """Return whether its shards were told to stop, or it is gone."""
        names = self.names()
        return names is None or any(map(_STOP_NAME.fullmatch, names))

    def remove(self) -> None:
        """Delete all of it: shards that still run elsewhere stop."""
        remove(self.path)


@dataclass(slots=True)
class LaunchWatch:
    """What a shard elsewhere has heard of its launch; no clock but its own.

    Attributes
    ----------
    n_stops
        Signals that it was handed.
    """

    n_stops: int = 0
    _beat: str = ""
    _heard_s: float | None = None

    def signals(self, names: list[str] | None, now: float) -> Iterator[int]:
        """Yield the signals that the shard is to be sent now, of what is in the folder.

        Parameters
        ----------
        names
            Of its files; a listing may be late. None where there is no folder any more.
        now
            Monotonic time.
        """
        patience_s = 0.0 if names is None else PATIENCE_S
        names = names or []
        beat = max((n for n in names if n.startswith(_BEAT)), default="")
        if self._heard_s is None or beat > self._beat:
            self._beat, self._heard_s = max(beat, self._beat), now
        stops = [
            found for n in sorted(set(names)) if (found := _STOP_NAME.fullmatch(n))
        ]
        for found in stops[self.n_stops :]:
            self.n_stops += 1
            yield int(signal.Signals[found[2]])
        if self.n_stops == 0 and now - self._heard_s >= patience_s:
            self.n_stops = 1
            yield int(signal.SIGTERM)

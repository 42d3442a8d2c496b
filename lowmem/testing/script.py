"""What happens to a job under test, and what it tells: lines of JSON between two processes.

The script is read by `subject`, in the planner and in the worker of each run. What they
tell is appended to one file, which survives every kill.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

Moment = Literal["after", "beyond", "within"]
# In this order, again and again: with the step after a commit done but not committed,
# at once after a commit, in the middle of the next one.
MOMENTS: tuple[Moment, ...] = ("beyond", "after", "within")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """The end of one worker.

    Attributes
    ----------
    moment
        Where it is killed, once it has made one commit; or before the job's end.
    takes_run
        Whether the process of the command is killed with it.
    """

    moment: Moment
    takes_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """What is done to a job in one run.

    Attributes
    ----------
    reference
        The job as the author has it.
    told
        The file for what is told.
    workspace
        Folder of the run's workspace.
    kills
        One for each worker, in their order; the worker after the last is left alone.
    is_another_day
        Whether the clock shows another year.
    """

    reference: str
    told: str
    workspace: str
    kills: tuple[Kill, ...] = ()
    is_another_day: bool = False

    def write(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Script:
        """Return what `write` has written."""
        values = json.loads(path.read_text(encoding="utf-8"))
        kills = tuple(Kill(**kill) for kill in values.pop("kills"))
        return cls(kills=kills, **values)


def kills_at_every_commit(n_commits: int) -> tuple[Kill, ...]:
    """Return a kill after each commit, and one at the end of the work.

    Each worker makes one commit before it is killed; the last has none left to make. In
    the middle the command is killed too.

    Examples
    --------
    >>> [kill.moment for kill in kills_at_every_commit(4)]
    ['beyond', 'after', 'within', 'beyond', 'after']
    >>> [kill.takes_run for kill in kills_at_every_commit(4)]
    [False, False, True, False, False]
    """
    return tuple(
        Kill(moment=MOMENTS[n % len(MOMENTS)], takes_run=n == n_commits // 2)
        for n in range(n_commits + 1)
    )


class Told:
    """The file of what a job under test tells; written by its processes alone."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def tell(self, kind: str, value: Any) -> None:  # noqa: ANN401 - what JSON holds
        """Append one line, whole whatever happens next."""
        line = json.dumps({kind: value}).encode() + b"\n"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def all(self, kind: str) -> list[Any]:
        """Return what was told of one kind, in order."""
        return [line[kind] for line in self._lines() if kind in line]

    def _lines(self) -> Iterator[dict[str, Any]]:
        if self._path.exists():
            yield from map(json.loads, self._path.read_text("utf-8").splitlines())

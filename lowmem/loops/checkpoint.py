"""`lowmem.Checkpoint`: a loop's state in, its state out; see docs/checkpoint.md."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any, Self

from lowmem.base.clock import SystemClock, timestamp
from lowmem.base.errors import CorruptFileError, NewerFormatError, UsageError
from lowmem.base.errors_loop import (
    CheckpointClosedError,
    NotACheckpointError,
    NoWholeCommitError,
    UnrestoredError,
)
from lowmem.base.units import seconds_from_duration
from lowmem.checkpoints.commit import commit
from lowmem.checkpoints.generations import newest_whole
from lowmem.checkpoints.manifest import Manifest
from lowmem.checkpoints.restore import open_arrays
from lowmem.checkpoints.retention import KEPT_GENERATIONS
from lowmem.loops.checkpoint_folder import open_place, place_of
from lowmem.loops.stopping import Stopping
from lowmem.protocol.messages import Cycle
from lowmem.states.kinds import packed, unpacked, unpacked_entry
from lowmem.states.tree import NOTHING

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.checkpoints.generations import Newest

# Key in the recipe of a manifest, with the version of the tree.
_FORMAT = "lowmem.Checkpoint"
_VERSION = 1
_TREE = "tree"


class Checkpoint:
    """The commits of one loop, in a folder that this process holds alone.

    A commit is whole or absent, whenever the process is killed, and survives a crash of
    the machine. Nothing is pickled.

    Parameters
    ----------
    folder
        A new or empty folder, or one of an earlier `Checkpoint`. Within ``lowmem exec`` a
        relative one lies in the state folder of the command, and each commit is one of
        the command's too.
    keep
        How many commits stay; 2 by default, and 1 within ``lowmem exec``, which keeps
        older ones itself.
    time
        Seconds, or a duration such as ``"11h30m"``, after which `stopping` is true.

    Raises
    ------
    CheckpointLockedError
        If it is held open already, by whichever process.
    NotACheckpointError
        If the folder holds something else; it is left as it is.
    UsageError
        If ``keep`` or ``time`` is none.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> def count(n_steps):
    ...     with Checkpoint(folder) as checkpoint:
    ...         state = checkpoint.restore({"step": 0, "total": 0.0})
    ...         for step in range(state["step"], n_steps):
    ...             state = {"step": step + 1, "total": state["total"] + 0.1}
    ...             checkpoint.commit(state)
    ...     return state
    >>> count(2)
    {'step': 2, 'total': 0.2}
    >>> count(3)
    {'step': 3, 'total': 0.30000000000000004}
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        keep: int | None = None,
        time: float | str | None = None,
    ) -> None:
        self._clock = SystemClock()
        self._place = place_of(folder, os.environ)
        is_inner = self._place.marker is not None
        default = 1 if is_inner else KEPT_GENERATIONS
        self._keep = default if keep is None else _least_one(keep)
        self._stopping = Stopping(self._clock, _seconds(time))
        self._pid = os.getpid()
        self._next: int | None = None
        self._open = open_place(self._place, self._clock)
        self._is_open = True
        self._begin_cycle()

    @property
    def folder(self) -> Path:
        """Where the commits are, as an absolute path.

        Examples
        --------
        >>> import tempfile
        >>> with Checkpoint(tempfile.mkdtemp()) as checkpoint:
        ...     checkpoint.commit({"step": 1})
        ...     sorted(path.name for path in checkpoint.folder.iterdir())
        ['checkpoint.lock', 'gen-00000000']
        """
        return self._place.folder

    @property
    def stopping(self) -> bool:
        """Whether the loop is to commit and end: a signal came, or the time is over.

        Reading it takes over SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 and SIGXCPU until the
        checkpoint is closed; only the main thread can do that. A second SIGTERM or SIGHUP
        acts as it did before.

        Examples
        --------
        >>> import os, signal, tempfile
        >>> with Checkpoint(tempfile.mkdtemp(), time="11h") as checkpoint:
        ...     before = checkpoint.stopping
        ...     os.kill(os.getpid(), signal.SIGTERM)
        ...     before, checkpoint.stopping
        (False, True)
        """
        self._refuse_closed()
        return self._stopping.is_asked()

    def restore(self, state: Any = NOTHING) -> Any:  # noqa: ANN401
        """Return the newest whole commit, put into ``state``; without one, ``state``.

        Parameters
        ----------
        state
            What the loop begins with. Its models, optimisers, generators and estimators
            are filled in place; values and arrays are returned new. Without it, all that
            can be made from values is, and there is None where there is no commit.

        Raises
        ------
        OtherStateError
            If the commit does not fit ``state``. Objects before that place are filled.
        NoWholeCommitError
            If there are commits and none is whole.
        NewerFormatError
            If a newer lowmem wrote the newest.

        Notes
        -----
        Time: two reads of the commit. Memory: the state, and beside it one array of
        those that are filled in.

        Examples
        --------
        >>> import random, tempfile
        >>> rng = random.Random(7)
        >>> with Checkpoint(tempfile.mkdtemp()) as checkpoint:
        ...     checkpoint.restore({"step": 0, "rng": rng})["step"]
        ...     checkpoint.commit({"step": 1, "rng": rng})
        ...     drawn = rng.random()
        ...     checkpoint.restore({"step": 0, "rng": rng})["step"]
        ...     rng.random() == drawn
        0
        1
        True
        """
        self._refuse_closed()
        newest = self._newest()
        if newest is None:
            self._next = 0
            return None if state is NOTHING else state
        manifest = newest.manifest
        self._refuse_other(newest)
        if newest.damaged:
            warnings.warn(
                f"{self.folder}: {', '.join(newest.damaged)} was damaged, the loop goes "
                f"on from {newest.path.name}",
                RuntimeWarning,
                stacklevel=2,
            )
        arrays = open_arrays(newest.path)
        try:
            found = unpacked(manifest.state[_TREE], arrays, state)
        finally:
            getattr(arrays, "close", lambda: None)()
        self._next = manifest.generation + 1
        self._begin_cycle()
        return found

    def entry(self, name: str) -> Any:  # noqa: ANN401
        """Return one entry of the newest whole commit; None where there is no commit.

        For what has to be known before there is anything to restore into. The entry has
        to hold values and arrays alone; nothing else is loaded or filled.

        Raises
        ------
        KeyError
            If the commit has no such entry.

        Notes
        -----
        Time: one read of the commit. Memory: the entry.

        Examples
        --------
        >>> import random, tempfile
        >>> with Checkpoint(tempfile.mkdtemp()) as checkpoint:
        ...     checkpoint.commit({"step": 3, "rng": random.Random(7)})
        ...     checkpoint.entry("step")
        3
        """
        self._refuse_closed()
        newest = self._newest()
        if newest is None:
            return None
        self._refuse_other(newest)
        arrays = open_arrays(newest.path)
        try:
            return unpacked_entry(newest.manifest.state[_TREE], arrays, name)
        finally:
            getattr(arrays, "close", lambda: None)()

    def commit(self, state: Any) -> None:  # noqa: ANN401
        """Make ``state`` the newest commit; after this returns, a crash does not lose it.

        Parameters
        ----------
        state
            Dictionaries, lists and tuples of what docs/checkpoint.md lists.

        Raises
        ------
        UnkeptValueError
            If it holds anything else, naming the place; nothing is written.
        UnrestoredError
            If the folder holds commits and none was restored.
        StorageError
            If it could not be written. The commit before stays, and the loop may go on.

        Notes
        -----
        Time: one write and two reads of the state, three to five fsyncs. Memory: no copy
        of an array but of one on a device, at most 32 MiB beside that.

        Examples
        --------
        >>> import tempfile
        >>> with Checkpoint(tempfile.mkdtemp()) as checkpoint:
        ...     checkpoint.commit({"losses": [0.5, 0.25], "best": float("inf")})
        ...     checkpoint.restore()
        {'losses': [0.5, 0.25], 'best': inf}

        >>> with Checkpoint(tempfile.mkdtemp()) as checkpoint:
        ...     checkpoint.commit({"model": {"activation": lambda x: x}})
        Traceback (most recent call last):
        lowmem.base.errors_loop.UnkeptValueError: state['model']['activation'] is a \
lambda, expected plain values, arrays, or an object whose state can be taken. Leave it \
out, or keep what it is made from.
        """
        self._refuse_closed()
        number = self._next_number()
        tree, packer = packed(state)
        began_s = self._clock.monotonic()
        manifest = Manifest(
            generation=number,
            recipe={_FORMAT: _VERSION},
            state={_TREE: tree},
            cycle=Cycle(
                index=number,
                items=1,
                started_at=self._began_at,
                seconds=began_s - self._began_s,
                commit_seconds=0.0,
                settings={},
            ),
        )
        arrays = ((name, make()) for name, make in packer.arrays.items())
        # Before, since what fails after the rename leaves this number to a whole commit.
        self._next = number + 1
        with self._place.alone():
            commit(self.folder, manifest, arrays, keep=self._keep)
            self._place.pass_on(self._clock)
        self._begin_cycle()

    def close(self) -> None:
        """Let the folder and the signals go; a second call does nothing.

        Examples
        --------
        >>> import tempfile
        >>> checkpoint = Checkpoint(tempfile.mkdtemp())
        >>> checkpoint.close()
        >>> Checkpoint(checkpoint.folder).close()
        """
        if self._is_open and os.getpid() == self._pid:
            self._is_open = False
            self._stopping.release()
            self._open.close()

    def __enter__(self) -> Self:
        self._refuse_closed()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _newest(self) -> Newest | None:
        with self._place.alone():
            try:
                return newest_whole(self.folder)
            except CorruptFileError as error:
                raise NoWholeCommitError(path=self.folder) from error

    def _next_number(self) -> int:
        if self._next is None:
            if self._newest() is not None:
                raise UnrestoredError(path=self.folder)
            self._next = 0
        return self._next

    def _refuse_closed(self) -> None:
        if not self._is_open or os.getpid() != self._pid:
            raise CheckpointClosedError(path=self.folder)

    def _refuse_other(self, newest: Newest) -> None:
        version = newest.manifest.recipe.get(_FORMAT)
        if not isinstance(version, int) or _TREE not in newest.manifest.state:
            raise NotACheckpointError(path=newest.path, problem="is a job's checkpoint")
        if version > _VERSION:
            raise NewerFormatError(path=newest.path, found=version, known=_VERSION)

    def _begin_cycle(self) -> None:
        self._began_s = self._clock.monotonic()
        self._began_at = timestamp(self._clock.now())


def _least_one(keep: Any) -> int:  # noqa: ANN401 - a user's
    if type(keep) is not int or keep < 1:
        raise UsageError(f"keep is {keep!r}, expected a whole number of at least 1.")
    return int(keep)


def _seconds(time: float | str | None) -> float | None:
    if time is None:
        return None
    if isinstance(time, str):
        return seconds_from_duration(time)
    if not 0 < time < float("inf"):
        raise UsageError(
            f"time is {time!r}, expected seconds, or a text such as 11h30m."
        )
    return float(time)

"""Shards as the tasks of SLURM arrays.

The launch stays and watches, as a person would with `squeue`; tasks whose time is over
queue themselves again. One that has left the queue without a word was killed, for want
of memory or with its node: it comes again in an array of its own.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Self

from lowmem.base.child import ran
from lowmem.base.clock import SystemClock
from lowmem.base.errors_engines import EngineUnavailableError
from lowmem.engines.launch_folder import former_launches
from lowmem.engines.next_step import ShardEnd
from lowmem.engines.shard_process import last_paragraph
from lowmem.engines.slurm_script import (
    STOPPED,
    array_number,
    array_options,
    arrays_named,
    given_options,
    last_ends,
    script_of,
    tasks_in_queue,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.base.child import Ended
    from lowmem.engines.engine import LaunchOrder
    from lowmem.engines.launch_folder import LaunchFolder

# seconds for one of SLURM's programs, which ask the controller over the network.
_PROGRAM_S = 60.0
# seconds between two questions to the controller, and for a name to be listed once its
# task has left the queue.
_ASK_S = 5.0
_LATE_S = 60.0
_LOST = -9


class SlurmEngine:
    """See `Engine`."""

    def __init__(self, order: LaunchOrder, folder: LaunchFolder) -> None:
        self._order, self._folder = order, folder
        self._clock = SystemClock()
        self._options = given_options(order.engine_options)
        # Of each shard that runs, its array; and since when it is not in the queue.
        self._arrays: dict[int, str] = {}
        self._gone_s: dict[int, float] = {}
        self._ask_at = 0.0
        self._n_arrays = 0
        self._is_stopped = False

    def __enter__(self) -> Self:
        for former in former_launches(self._folder.path.parent):
            if former != self._folder:
                for array in arrays_named(former.names() or []):
                    _cancel(former, array)
        return self

    def __exit__(self, *_: object) -> None:
        for array in set(self._arrays.values()):
            _cancel(self._folder, array)

    def start(self, indices: Sequence[int], left_s: float | None) -> None:
        """Submit an array of these shards; see `Engine`.

        Raises
        ------
        EngineUnavailableError
            If SLURM refuses it, with its words.
        """
        del left_s  # Each task has the time that SLURM leaves it.
        self._n_arrays += 1
        script = self._folder.path / f"script.{self._n_arrays}.sh"
        command, *words = self._order.shard_words
        text = script_of(
            [sys.executable, "-m", "lowmem", command, "--time-budget", "auto"],
            words,
            n_shards=self._order.n_shards,
            log_folder=str(script.parent),
        )
        self._folder.tell(script.name, text.encode())
        done = _asked(
            "sbatch",
            *array_options(indices, self._order.shard_ram_bytes, job=self._order.job),
            f"--chdir={self._order.folder}",
            *self._options,
            str(script),
        )
        array = array_number(done.stdout) if done.returncode == 0 else None
        if array is None:
            raise EngineUnavailableError(
                engine="SLURM",
                problem=f"refused the array: {done.stderr.strip() or done.stdout.strip()}",
                expected="an array that it takes",
                todo="--engine-option NAME=VALUE adds an option of sbatch, such as "
                "partition=short or account=mine.",
            )
        # A launch that is killed is followed by one that ends what it has left.
        self._folder.tell(f"array.{array}")
        for index in indices:
            self._arrays[index] = array
            self._gone_s.pop(index, None)

    def ended(self, wait_s: float) -> Sequence[ShardEnd]:
        """Return which have ended; see `Engine`."""
        now = self._clock.monotonic()
        if now < self._ask_at:
            self._clock.sleep(min(wait_s, self._ask_at - now))
            return ()
        self._ask_at = now + _ASK_S
        arrays = sorted(set(self._arrays.values()))
        try:
            done = _asked(
                "squeue",
                "--array",
                "--noheader",
                f"--jobs={','.join(arrays)}",
                "--format=%F_%K",
            )
        except EngineUnavailableError as error:
            # A busy controller answers late; what runs, runs on, and is asked for again.
            if isinstance(error.__cause__, TimeoutError):
                return ()
            raise
        queue = tasks_in_queue(done.returncode, done.stdout, done.stderr)
        if queue is None:
            return ()
        names = self._folder.names() or []
        ends = [
            end
            for index, array in self._arrays.items()
            if (array, index) not in queue
            and (end := self._end(index, last_ends(names, array).get(index), now))
        ]
        for end in ends:
            del self._arrays[end.index]
        return ends

    def _end(self, index: int, status: int | None, now: float) -> ShardEnd | None:
        """Return the end of a task that has left the queue; None while it may be told."""
        gone_s = self._gone_s.setdefault(index, now)
        if status is None and not self._is_stopped and now - gone_s < _LATE_S:
            return None
        said = last_paragraph(self._folder.log(index))
        return ShardEnd(
            index=index,
            status=_LOST if status is None else status,
            said="" if status is None else said,
        )

    def signal(self, number: int) -> None:
        """Hand a signal on; what waits in the queue leaves it; see `Engine`."""
        self._is_stopped = True
        _no_more(self._folder)
        name = signal.Signals(number).name.removeprefix("SIG")
        for array in sorted(set(self._arrays.values())):
            _asked("scancel", "--state=PENDING", array)
            _asked("scancel", f"--signal={name}", array)
        self._ask_at = 0.0


def _cancel(folder: LaunchFolder, array: str) -> None:
    """End the tasks of an array; they are not queued again."""
    _no_more(folder)
    _asked("scancel", array)


def _no_more(folder: LaunchFolder) -> None:
    """Have no task of a launch queue itself again."""
    if STOPPED not in (folder.names() or [STOPPED]):
        folder.tell(STOPPED)


def _asked(program: str, *words: str) -> Ended:
    """Run one of SLURM's programs.

    Raises
    ------
    EngineUnavailableError
        If it is not there, or does not answer.
    """
    try:
        return ran([program, *words], timeout_s=_PROGRAM_S)
    except OSError as error:
        raise EngineUnavailableError(
            engine="SLURM",
            problem=f"does not answer to {program}: {error}",
            expected=f"an answer within {_PROGRAM_S:.0f} s",
            todo="See that its controller works. The same command continues with the "
            "blocks that are done.",
        ) from error

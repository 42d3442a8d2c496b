"""A shard as the task of a worker, on any machine: a text goes in, a text comes out.

The worker that runs this function needs lowmem, and the folders that the words name. The
shard is a child of it, in the same machine's process tree: it has lowmem's own supervisor
and budget, and dies with the worker.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from lowmem.base.clock import SystemClock
from lowmem.base.errors import EXIT_STOPPED, EXIT_UNAVAILABLE
from lowmem.engines.launch_folder import LaunchFolder, LaunchWatch
from lowmem.engines.next_step import ShardEnd
from lowmem.engines.shard_process import ShardProcess

# seconds between two looks at the process, and at the launch's folder.
_LOOK_S = 0.1
_LISTEN_S = 1.0
_LOST = -9


class ShardTask(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is given.

    Attributes
    ----------
    words
        After ``lowmem``.
    attempt
        Which start of this shard it is, by the count of the launch.
    folder
        Current folder of the shard.
    launch
        The folder of its launch, see `lowmem.engines.launch_folder`.
    """

    index: int
    attempt: int
    words: tuple[str, ...]
    folder: str
    launch: str


def text_of(task: ShardTask) -> str:
    """Return a task as the text that goes to a worker."""
    return msgspec.json.encode(task).decode()


def end_from_text(text: str) -> ShardEnd:
    """Return the end of a shard, from the text that a worker has sent.

    Raises
    ------
    msgspec.DecodeError
        If it is none.
    """
    return msgspec.json.decode(text, type=ShardEnd)


def run_shard(text: str) -> str:
    """Run a shard to its end; this is what Dask and Ray call on a worker.

    Parameters
    ----------
    text
        See `text_of`; what it returns is read by `end_from_text`.
    """
    task = msgspec.json.decode(text, type=ShardTask)
    for path in (task.folder, task.launch):
        if not Path(path).is_dir():
            return _told(
                ShardEnd(
                    index=task.index,
                    status=EXIT_UNAVAILABLE,
                    lasted_s=0.0,
                    said=f"{path} is not there on {os.uname().nodename}, expected the "
                    "same folders on every worker: a workspace that all share, and the "
                    "folder that the command was typed in.",
                )
            )
    launch = LaunchFolder(Path(task.launch))
    if launch.is_stopped():
        # It has waited for its turn until then.
        return _told(ShardEnd(index=task.index, status=EXIT_STOPPED, lasted_s=0.0))
    # An engine may call a task again whose worker has died; a launch counts its starts.
    if not launch.begin(task.index, task.attempt):
        said = "its worker has died"
        return _told(ShardEnd(index=task.index, status=_LOST, said=said, lasted_s=0.0))
    return _told(_run(task, launch))


def _run(task: ShardTask, launch: LaunchFolder) -> ShardEnd:
    clock, watch = SystemClock(), LaunchWatch()
    process = ShardProcess(
        task.index, task.words, folder=task.folder, log=launch.log(task.index)
    )
    listen_at = clock.monotonic()
    try:
        while not process.has_ended():
            now = clock.monotonic()
            if now >= listen_at:
                for number in watch.signals(launch.names(), now):
                    process.signal(number)
                listen_at = now + _LISTEN_S
            clock.sleep(_LOOK_S)
        return process.end()
    except BaseException:
        # The engine ends its task: so does the shard.
        process.kill()
        raise


def _told(end: ShardEnd) -> str:
    return msgspec.json.encode(end).decode()

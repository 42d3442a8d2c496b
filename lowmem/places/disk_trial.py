"""A small write to a disk, which leaves nothing behind: a program of its own.

``python -m lowmem.places.disk_trial ANSWERS_FD PID FOLDER`` answers one line, see
`disk_speed`. The file has no name (`O_TMPFILE`, or it is unlinked before the first byte),
so a kill leaves nothing either. A file system that a program serves (FUSE, as Drive is)
may not know such files: there it has a name, and a kill leaves it to the next trial.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.mounts import is_served_by_a_program
from lowmem.base.parent import begin, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowmem.base.clock import Clock

# What a trial takes of a disk, whichever is reached first: bytes, seconds.
MOST_BYTES = 8 * 2**20
MOST_S = 0.5
# Forced out one by one: so the time is bounded by one of them.
_PIECE_BYTES = 2**20
NAME = ".lowmem-disk-trial"


def tried(folder: Path, clock: Clock) -> dict[str, object]:
    """Write to the disk of a folder; return the fields of a `DiskSpeed` but the folder."""
    # No disk makes it smaller than it is.
    piece = os.urandom(_PIECE_BYTES)
    written, took_s, problem = 0, 0.0, None
    try:
        with _nothing_left(folder) as file:
            begun_s = clock.monotonic()
            while written < MOST_BYTES and took_s < MOST_S:
                n_bytes = file.write(piece)
                os.fsync(file.fileno())
                written += n_bytes
                took_s = clock.monotonic() - begun_s
    except OSError as error:
        problem = error.strerror or str(error)
    return {
        "written_bytes": written,
        "bytes_per_s": round(written / max(took_s, 1e-6)) if written else None,
        "problem": problem,
    }


@contextmanager
def _nothing_left(folder: Path) -> Iterator[IO[bytes]]:
    """Give a file that is gone at the end of the block."""
    if not is_served_by_a_program(folder):
        with TemporaryFile(dir=folder, buffering=0) as file:
            yield file
        return
    path = folder / NAME
    path.unlink(missing_ok=True)
    try:
        with path.open("xb", buffering=0) as file:
            yield file
    finally:
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    _answers_fd, _parent_pid, _folder = sys.argv[1:]
    begin(int(_answers_fd), int(_parent_pid))
    _found = tried(Path(_folder), SystemClock())
    say(int(_answers_fd), json.dumps(_found).encode() + b"\n")

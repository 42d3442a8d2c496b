"""Look at what tells which place this is; `lowmem.places.place` decides what it means."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from lowmem.places.place import Place, Surroundings, place_of
from lowmem.places.time_left import read_time_left

# Files that only some places have.
TELLING = ("/.dockerenv", "/run/.containerenv")


def find_place(*, has_gpu: bool) -> Place:
    """Return the place that this process is in.

    Parameters
    ----------
    has_gpu
        Whether a GPU's driver answers.
    """
    return place_of(look_around(has_gpu=has_gpu), read_time_left())


def look_around(*, has_gpu: bool) -> Surroundings:
    """Return what there is to see."""
    return Surroundings(
        environment=dict(os.environ),
        files=frozenset(path for path in TELLING if Path(path).exists()),
        # Not by a look at the folders: a mount that is gone would make that wait.
        mounts=frozenset(_mounts(_text(Path("/proc/self/mounts")))),
        cgroup=_text(Path("/proc/self/cgroup")),
        kernel=platform.release(),
        has_gpu=has_gpu,
    )


def _mounts(table: str) -> list[str]:
    return [words[1] for words in map(str.split, table.splitlines()) if len(words) > 1]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

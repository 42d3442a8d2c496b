"""Run shards of a job in this process, and what puts their blocks together."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from pathlib import Path

from lowmem.base.clock import SystemClock
from lowmem.protocol.division import Division
from lowmem.shards.board import Board
from lowmem.shards.storage import Folder
from tests.driver import drive


def division_of(space: Path, index: int = 0, count: int = 0, **how) -> Division:
    """Return what a shard is asked for; the merge where there is no count."""
    holder = f"{index:04d}of{count:04d}-here-0" if count else ""
    return Division(
        **{
            "board": str(space / ".lowmem" / "shards" / "board"),
            "index": index,
            "count": count,
            "holder": holder,
            "lease_s": 600,
            **how,
        }
    )


def board_of(space: Path) -> Board:
    return Board(Folder(space / ".lowmem" / "shards" / "board"), SystemClock())


def shard(job, space: Path, index: int, count: int, **how):
    return drive(job, space, division=division_of(space, index, count), **how)


def merge(job, space: Path, **how):
    return drive(job, space, division=division_of(space), **how)


@contextmanager
def hidden_markers(space: Path, names: str):
    """Have markers not listed for a while, as by storage that lists late."""
    folder = space / ".lowmem/shards/board/blocks.shared/00000"
    found = [p for p in folder.glob(names) if p.suffix in {".claim", ".done"}]
    for path in found:
        path.rename(space / path.name)
    yield
    for path in found:
        (space / path.name).rename(path)


def files_of(store: Path) -> dict[str, str]:
    return {
        str(file.relative_to(store)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(store.rglob("*"))
        if file.is_file()
    }

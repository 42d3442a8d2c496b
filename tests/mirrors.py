"""Small workspaces and their mirrors, for tests of what a mirror keeps and gives back."""

from __future__ import annotations

import hashlib
import os
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lowmem.base.journal import JournalWriter
from lowmem.base.workspace import Workspace
from lowmem.mirror.archive import DamagedArchiveError
from lowmem.mirror.library import contents_of, verify_data
from lowmem.mirror.names import About
from lowmem.mirror.policy import Generation
from lowmem.mirror.remote import Remote
from lowmem.mirror.snapshot import News
from lowmem.mirror.upload import Uploader
from lowmem.protocol.messages import Cycle
from lowmem.protocol.records import (
    AnyRecord,
    CycleEnded,
    JobBegun,
    JobEnded,
    body_from_record,
)


class TestClock:
    """A clock whose every look is a second later; sleeping takes no time."""

    __test__ = False

    def __init__(self, start: datetime = datetime(2026, 11, 22, 10, tzinfo=UTC)):
        self.time = start
        self.slept: list[float] = []

    def now(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    def monotonic(self) -> float:
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def write(space: Workspace, record: AnyRecord) -> None:
    with JournalWriter(space.journal) as journal:
        journal.append(body_from_record(record))


def begin(space: Workspace, job: str = "train") -> None:
    write(
        space,
        JobBegun(job=job, at=stamp(), reference=job, recipe={"seed": 1}, unit="images"),
    )


def stamp() -> str:
    return secrets.token_hex(8)


def commit(
    space: Workspace, generation: int, job: str = "train", *, state: bytes | None = None
) -> News:
    """Leave a workspace as the worker and supervisor leave it after a commit."""
    folder = space.checkpoints(job) / f"gen-{generation:08d}"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_bytes(b'sum\n{"phase":"running"}\n')
    (folder / "state.npz").write_bytes(state or os.urandom(3000))
    space.staging(job).mkdir(exist_ok=True)
    (space.staging(job) / "rows.txt").write_text("row\n" * generation)
    ended = CycleEnded(
        job=job, at=stamp(), attempt=1, outcome="committed", cycle=cycle(generation)
    )
    write(space, ended)
    return News(job=job, generation=generation)


def cycle(index: int) -> Cycle:
    """Return a cycle of which nothing else matters."""
    return Cycle(
        index=index,
        items=1,
        started_at="",
        seconds=1,
        commit_seconds=0,
        settings={},
    )


def finish(space: Workspace, generation: int, names: tuple[str, ...], job="train"):
    """Leave a workspace as it is once a job is done."""
    write(
        space,
        JobEnded(
            job=job,
            at=stamp(),
            state="done",
            exit_code=0,
            published=names,
            results_sha256=stamp(),
        ),
    )
    return News(job=job, generation=generation, published=names)


def uploader(space: Workspace, mirror: Path | str, *, has_data=False) -> Uploader:
    return Uploader(
        lambda: Remote.open(str(mirror), space.root.name),
        space,
        TestClock(datetime.now(UTC)),
        has_data=has_data,
    )


def sums(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below a folder."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def about(news: News) -> About:
    """Return what an upload of this news gives back."""
    return About(
        job=news.job,
        generation=news.generation,
        is_done=news.published is not None,
        sequence=0,
        journal_sha256="",
        at="",
    )


def make_store(space: Workspace, n_chunks: int, *, size: int = 1000) -> None:
    """Write a store of random chunks into the making of `train`; old chunks stay."""
    folder = space.staging("train") / "images.zarr" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_text(f'{{"shape": [{n_chunks}]}}')
    for chunk in range(n_chunks):
        path = folder / f"c.{chunk}.0"
        if not path.exists():
            path.write_bytes(os.urandom(size))
            # As if written a while ago: its time tells it from any later state.
            os.utime(path, (10**9 + chunk, 10**9 + chunk))


def problem_of(remote: Remote, generation: Generation) -> str | None:
    """Read a whole generation with all that it refers to; return what is wrong with it.

    Notes
    -----
    Memory: some MiB, and a few hundred bytes a file.
    """
    try:
        contents = contents_of(remote, generation)
        for archive in sorted(contents.archives):
            verify_data(remote, archive, contents)
    except (FileNotFoundError, DamagedArchiveError) as error:
        return str(error)
    return None

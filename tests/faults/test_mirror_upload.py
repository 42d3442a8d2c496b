"""Sending: newest wins, faults are told and outlived, nothing is claimed that is not there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lowmem.base.workspace import Workspace
from lowmem.checkpoints.commit import commit
from lowmem.checkpoints.manifest import Manifest
from lowmem.integrity.published import sums_of_results
from lowmem.mirror import upload
from lowmem.mirror.inbox import Inbox
from lowmem.mirror.library import contents_of, generations
from lowmem.mirror.policy import newest_first
from lowmem.mirror.recover import recover
from lowmem.mirror.remote import Remote
from lowmem.mirror.serve import Server
from lowmem.mirror.snapshot import SMALL_BYTES, News, TooLargeError
from lowmem.mirror.upload import MirrorFaultError, OvertakenError, Uploader
from lowmem.protocol.mirror_messages import (
    AtRest,
    Durable,
    FinishMirror,
    JobCommitted,
    JobDone,
    Mended,
    Overtaken,
    StaysHere,
    Troubled,
)
from tests import mirrors
from tests.faults import faulty_mirror
from tests.faults.faulty_mirror import FaultyFileSystem


@pytest.fixture
def space(tmp_path):
    return Workspace.at(tmp_path / "here" / "work")


@pytest.fixture
def mirror(tmp_path):
    return tmp_path / "mirror"


@pytest.fixture
def faults(tmp_path, monkeypatch):
    switch = tmp_path / "faults.txt"
    switch.write_text("")
    monkeypatch.setenv(faulty_mirror.VARIABLE, str(switch))
    return switch


def faulty_uploader(space, mirror):
    return Uploader(
        lambda: Remote(FaultyFileSystem(), f"{mirror}/work"),
        space,
        mirrors.TestClock(datetime.now(UTC)),
    )


def whole_generations(mirror):
    remote = Remote.open(str(mirror), "work")
    return [
        g.about.generation
        for g in newest_first(generations(remote))
        if mirrors.problem_of(remote, g) is None
    ]


@pytest.mark.parametrize("fault", ["eio", "enospc", "gone", "truncate", "flip"])
def test_a_fault_is_raised_nothing_is_claimed_and_nothing_is_left_of_it(
    space, mirror, faults, fault
):
    mirrors.begin(space)
    sender = faulty_uploader(space, mirror)
    assert sender.upload(mirrors.commit(space, 0), is_last=False) is not None
    faults.write_text(fault)
    news = mirrors.commit(space, 1)
    for _ in range(2):
        with pytest.raises(Exception):  # noqa: B017, PT011 - each store raises its own
            sender.upload(news, is_last=False)
        sender.forget()
    assert whole_generations(mirror) == [0]
    faults.write_text("")
    assert sender.upload(news, is_last=False).generation == 1
    assert whole_generations(mirror) == [1, 0]
    assert len(list((mirror / "work").iterdir())) == 4


@pytest.mark.parametrize("fault", ["late", "twice", "shuffled", "late twice shuffled"])
def test_a_mirror_that_delays_repeats_and_reorders_serves_all_the_same(
    space, mirror, faults, fault
):
    mirrors.begin(space)
    sender = faulty_uploader(space, mirror)
    faults.write_text(fault)
    for generation in range(5):
        assert sender.upload(mirrors.commit(space, generation), is_last=False)
    faults.write_text("")
    assert whole_generations(mirror) == [4, 3, 2]


class Interrupting(mirrors.TestClock):
    """A clock at whose first look the job commits again."""

    then: Callable[[], object] | None = None

    def now(self) -> datetime:
        if self.then is not None:
            do, self.then = self.then, None
            do()
        return super().now()


def test_what_a_newer_commit_overtook_while_it_was_read_is_not_sent(space, mirror):
    mirrors.begin(space)
    news = mirrors.commit(space, 0)
    sender = mirrors.uploader(space, mirror)
    clock = Interrupting(datetime.now(UTC))
    clock.then = lambda: mirrors.commit(space, 1)
    sender.clock = clock
    assert sender.upload(news, is_last=False) is None
    assert not list(mirror.rglob("*.lowmem"))
    # The newest is taken, whichever was asked for.
    assert sender.upload(news, is_last=False).generation == 1


def test_a_job_about_to_publish_is_sent_when_it_has(space, mirror):
    mirrors.begin(space)
    news = mirrors.commit(space, 0)
    manifest = space.checkpoints("train") / "gen-00000000" / "manifest.json"
    manifest.write_bytes(b'sum\n{"phase":"publishing"}\n')
    sender = mirrors.uploader(space, mirror)
    assert sender.upload(news, is_last=False) is None
    (space.root / "model.txt").write_text("result")
    done = mirrors.finish(space, 0, ("model.txt",))
    assert sender.upload(done, is_last=False).is_done
    n_files = len(list((mirror / "work").iterdir()))
    # The same results are not sent again.
    assert sender.upload(done, is_last=False).is_done
    assert len(list((mirror / "work").iterdir())) == n_files


def test_the_newest_of_each_job_is_sent_and_the_first_job_first():
    inbox = Inbox()
    inbox.put(JobCommitted(job="a", generation=1))
    inbox.put(JobCommitted(job="b", generation=1))
    inbox.put(JobCommitted(job="a", generation=2))
    inbox.put_back(News(job="b", generation=0))
    inbox.put(FinishMirror())
    assert inbox.take() == News(job="a", generation=2)
    assert inbox.take() == News(job="b", generation=1)
    assert inbox.take() is None


class Scripted:
    """An uploader that does what it is told, one word a call."""

    others: frozenset[str] = frozenset()

    def __init__(self, *script):
        self.script = list(script)

    def upload(self, news, *, is_last):  # noqa: ARG002 - of the real one
        outcome = self.script.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return mirrors.about(news) if outcome else None

    def forget(self):
        pass


def test_a_failure_is_told_once_and_the_end_of_it_too():
    inbox, told = Inbox(), []
    inbox.put(JobCommitted(job="a", generation=1))
    inbox.put(JobDone(job="b", generation=1, published=()))
    inbox.put(FinishMirror())
    inbox.rest = lambda *_, **__: None
    script = OSError("one"), RuntimeError("two"), "sent", TooLargeError(5)
    Server(inbox, Scripted(*script), told.append).run()
    kinds = [type(message) for message in told]
    assert kinds == [Troubled, Mended, Durable, StaysHere, AtRest]


def data_of(mirror):
    return sorted((mirror / "work").glob("*.data"))


def test_chunks_of_stores_are_sent_once(space, mirror, tmp_path):
    mirrors.begin(space)
    sender = mirrors.uploader(space, mirror, has_data=True)
    sizes = []
    for generation in range(4):
        news = mirrors.commit(space, generation)
        mirrors.make_store(space, 2 * generation + 2)
        assert sender.upload(news, is_last=True) is not None
        sizes.append([path.stat().st_size for path in data_of(mirror)])
    assert [len(found) for found in sizes] == [1, 2, 3, 4]
    remote = Remote.open(str(mirror), "work")
    newest = newest_first(generations(remote))[0]
    assert len(contents_of(remote, newest).archives) == 4
    # A process that knows nothing of them sends none of them again.
    fresh = mirrors.uploader(space, mirror, has_data=True)
    assert fresh.upload(mirrors.commit(space, 4), is_last=True) is not None
    assert len(data_of(mirror)) == 4
    other = Workspace.at(tmp_path / "there" / "work")
    recover(remote, other, "mirror")
    same = mirrors.sums(other.staging("train"))
    assert same == mirrors.sums(space.staging("train"))


def test_a_machine_whose_clock_is_behind_still_has_the_newest(space, mirror, tmp_path):
    mirrors.begin(space)
    mirrors.uploader(space, mirror).upload(mirrors.commit(space, 0), is_last=True)
    behind = mirrors.uploader(space, mirror)
    behind.clock.time -= timedelta(days=1)
    behind.upload(mirrors.commit(space, 1), is_last=True)
    other = Workspace.at(tmp_path / "there" / "work")
    found = recover(Remote.open(str(mirror), "work"), other, "mirror")
    assert [job.generation for job in found.jobs] == [1]


def test_data_that_no_generation_needs_are_deleted(space, mirror):
    mirrors.begin(space)
    sender = mirrors.uploader(space, mirror, has_data=True)
    mirrors.commit(space, 0)
    mirrors.make_store(space, 2)
    sender.upload(News(job="train", generation=0), is_last=True)
    (first,) = data_of(mirror)
    shutil.rmtree(space.staging("train") / "images.zarr")
    for generation in range(1, 5):
        sender.upload(mirrors.commit(space, generation), is_last=True)
    assert not first.exists()


def test_a_damaged_data_archive_spoils_what_needs_it(space, mirror, tmp_path):
    mirrors.begin(space)
    sender = mirrors.uploader(space, mirror, has_data=True)
    for generation in range(2):
        news = mirrors.commit(space, generation)
        mirrors.make_store(space, generation + 1)
        sender.upload(news, is_last=True)
    chunk = (space.staging("train") / "images.zarr/images/c.1.0").read_bytes()
    remote = Remote.open(str(mirror), "work")
    second = contents_of(remote, newest_first(generations(remote))[0]).archives
    first = contents_of(remote, newest_first(generations(remote))[1]).archives
    (name,) = second - first
    path = mirror / "work" / name
    data = bytearray(path.read_bytes())
    data[data.index(chunk)] ^= 1
    path.write_bytes(data)
    other = Workspace.at(tmp_path / "there" / "work")
    found = recover(remote, other, "mirror")
    assert [job.generation for job in found.jobs] == [0]
    assert len(found.damaged) == 1


def test_large_stores_stay_unless_asked(space, mirror):
    mirrors.begin(space)
    news = mirrors.commit(space, 0)
    folder = space.staging("train") / "images.zarr"
    folder.mkdir()
    with Path(folder / "c.0").open("wb") as stream:
        stream.truncate(SMALL_BYTES + 1)
    with pytest.raises(TooLargeError):
        mirrors.uploader(space, mirror).upload(news, is_last=True)
    assert not list(mirror.rglob("*.lowmem"))


def test_results_of_a_job_that_began_anew_are_sent_although_their_number_is_the_same(
    space, mirror, tmp_path
):
    """As of a second append, or of a job run again with --restart."""
    sender = mirrors.uploader(space, mirror)
    for text in ("first", "second"):
        mirrors.begin(space)
        mirrors.commit(space, 0)
        shutil.rmtree(space.staging("train"))
        (space.root / "model.txt").write_text(text)
        news = mirrors.finish(space, 0, ("model.txt",))
        assert sender.upload(news, is_last=False) is not None
        # Once they are there, they are not sent again.
        n_files = len(list((mirror / "work").iterdir()))
        assert sender.upload(news, is_last=False) is not None
        assert len(list((mirror / "work").iterdir())) == n_files
        shutil.rmtree(space.checkpoints("train"))
    other = Workspace.at(tmp_path / "there" / "work")
    recover(Remote.open(str(mirror), "work"), other, "mirror")
    assert (other.root / "model.txt").read_text() == "second"


def test_results_that_were_replaced_before_they_were_sent_are_not_taken_for_new_ones(
    space, mirror, monkeypatch
):
    """Neither by another life of the job, nor by a job that made them others."""
    sender = mirrors.uploader(space, mirror)
    (space.root / "images.txt").parent.mkdir(parents=True, exist_ok=True)
    (space.root / "images.txt").write_text("one")
    mirrors.begin(space, "ingest")
    ingest = mirrors.finish(space, 0, ("images.txt",), "ingest")
    mirrors.begin(space, "append")
    append = mirrors.finish(space, 0, ("images.txt",), "append")
    with pytest.raises(OvertakenError):
        sender.upload(ingest, is_last=False)
    # Also where it begins anew while its results are being read.
    real = upload.take_snapshot

    def taken_late(*words, **named):
        mirrors.begin(space, "append")
        return real(*words, **named)

    with monkeypatch.context() as patch:
        patch.setattr(upload, "take_snapshot", taken_late)
        with pytest.raises(OvertakenError):
            sender.upload(append, is_last=False)
    with pytest.raises(OvertakenError):
        sender.upload(append, is_last=False)
    told, inbox = [], Inbox()
    inbox.put(JobDone(job="ingest", generation=0, published=("images.txt",)))
    inbox.put(FinishMirror())
    Server(inbox, sender, told.append).run()
    assert told == [Overtaken(job="ingest", generation=0), AtRest()]
    assert not mirror.exists()


def test_a_result_that_is_damaged_here_never_counts_as_durable(space, mirror):
    mirrors.begin(space)
    (space.root / "model.txt").write_text("as published")
    entries = sums_of_results(space.root, ["model.txt"])
    manifest = Manifest(
        generation=0,
        recipe={},
        cycle=mirrors.cycle(0),
        phase="publishing",
        publish=("model.txt",),
        results=entries,
    )
    commit(space.checkpoints("train"), manifest, [])
    news = mirrors.finish(space, 0, ("model.txt",))
    (space.root / "model.txt").write_text("As published")
    sender = mirrors.uploader(space, mirror)
    with pytest.raises(MirrorFaultError, match=r"model\.txt is not what was published"):
        sender.upload(news, is_last=False)
    assert not list((mirror / "work").glob("*.ok"))
    (space.root / "model.txt").write_text("as published")
    assert sender.upload(news, is_last=False).is_done

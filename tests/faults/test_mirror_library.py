"""A workspace that is lost comes back from its mirror whole, or not at all."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from lowmem.base.errors import NewerFormatError, StorageError
from lowmem.base.errors_mirror import (
    MirrorDamagedError,
    MirrorMissingError,
    MirrorPackageError,
)
from lowmem.base.workspace import Workspace
from lowmem.mirror import upload
from lowmem.mirror.inspect import discard, inspect
from lowmem.mirror.library import (
    contents_of,
    description_of,
    generations,
)
from lowmem.mirror.names import About, Contents, Entry, bytes_from_contents
from lowmem.mirror.policy import newest_first
from lowmem.mirror.recover import recover
from lowmem.mirror.relation import Relation, standing_of
from lowmem.mirror.remote import Remote
from tests import mirrors


@pytest.fixture
def space(tmp_path):
    return Workspace.at(tmp_path / "here" / "work")


@pytest.fixture
def other(tmp_path):
    """A new machine: the same workspace's name in another place, empty."""
    return Workspace.at(tmp_path / "there" / "work")


@pytest.fixture
def mirror(tmp_path):
    return tmp_path / "mirror"


@pytest.fixture
def remote(mirror):
    return Remote.open(str(mirror), "work")


def three_commits(space, mirror):
    """Send three generations; return what the workspace held at each."""
    mirrors.begin(space)
    sender = mirrors.uploader(space, mirror)
    states = []
    for generation in range(3):
        news = mirrors.commit(space, generation)
        assert sender.upload(news, is_last=False) is not None
        states.append(mirrors.sums(space.root))
        shutil.rmtree(space.checkpoints("train") / f"gen-{generation:08d}")
    return states


def archives(mirror):
    return sorted((mirror / "work").glob("*.lowmem"))


def test_what_comes_back_is_what_was_there(space, other, mirror, remote):
    states = three_commits(space, mirror)
    found = recover(remote, other, "mirror")
    assert mirrors.sums(other.root) == states[-1]
    assert [job.generation for job in found.jobs] == [2]
    assert found.damaged == ()


def test_results_come_back_with_the_progress_of_the_next_job(
    space, other, mirror, remote
):
    sender = mirrors.uploader(space, mirror)
    mirrors.begin(space, "train")
    mirrors.commit(space, 0, "train")
    shutil.rmtree(space.staging("train"))
    space.model.mkdir()
    (space.model / "encoder.keras").write_bytes(b"weights")
    assert sender.upload(mirrors.finish(space, 0, ("model",)), is_last=False)
    mirrors.begin(space, "encode")
    assert sender.upload(mirrors.commit(space, 0, "encode"), is_last=False)
    recover(remote, other, "mirror")
    assert mirrors.sums(other.root) == mirrors.sums(space.root)


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    match how:
        case "truncated":
            path.write_bytes(data[: len(data) // 2])
        case "truncated after its contents":
            path.write_bytes(data[:-512])
        case "emptied":
            path.write_bytes(b"")
        case "flipped":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        case "longer":
            path.write_bytes(data + b"x")


@pytest.mark.parametrize(
    "how",
    ["truncated", "truncated after its contents", "emptied", "flipped", "longer"],
)
def test_a_damaged_generation_gives_way_to_the_one_before(
    space, other, mirror, remote, how
):
    states = three_commits(space, mirror)
    damage(archives(mirror)[-1], how)
    newest = newest_first(generations(remote))[0]
    assert mirrors.problem_of(remote, newest) is not None
    found = recover(remote, other, "mirror")
    assert mirrors.sums(other.root) == states[1]
    assert len(found.damaged) == 1


def test_every_flipped_bit_of_a_generation_without_a_marker_is_found(
    space, mirror, remote
):
    mirrors.begin(space)
    mirrors.uploader(space, mirror).upload(
        mirrors.commit(space, 0, state=b"state"), is_last=False
    )
    (path,) = archives(mirror)
    path.with_name(path.name + ".ok").unlink()
    whole = path.read_bytes()
    (generation,) = generations(remote)
    assert mirrors.problem_of(remote, generation) is None
    unfound = []
    for place in range(0, len(whole), 11):
        data = bytearray(whole)
        data[place] ^= 1 << (place % 8)
        path.write_bytes(data)
        if any(
            mirrors.problem_of(remote, found) is None for found in generations(remote)
        ):
            unfound.append(place)
    # Only bytes that carry nothing may differ: what a tar pads with.
    padding = _padding(whole)
    assert set(unfound) <= padding
    assert len(padding) < len(whole)


def _padding(whole: bytes) -> set[int]:
    """Return the places that carry nothing.

    The end of each header's checksum, what lies between a file and the next header, and
    the end of the archive.
    """
    places = set(range(len(whole) - 512, len(whole)))
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        for member in archive:
            places |= {member.offset + 154, member.offset + 155}
            end = member.offset_data + member.size
            places |= set(range(end, end + -member.size % 512))
    return places


def test_a_generation_without_its_marker_is_a_candidate(space, other, mirror, remote):
    states = three_commits(space, mirror)
    for marker in (mirror / "work").glob("*.ok"):
        marker.unlink()
    recover(remote, other, "mirror")
    assert mirrors.sums(other.root) == states[-1]


def test_a_damaged_marker_does_not_spoil_a_whole_generation(
    space, other, mirror, remote
):
    states = three_commits(space, mirror)
    for marker in (mirror / "work").glob("*.ok"):
        marker.write_bytes(b"{")
    recover(remote, other, "mirror")
    assert mirrors.sums(other.root) == states[-1]


def marked_newer(mirror):
    """Give the newest generation the marker that a later format may have."""
    *_, newest = archives(mirror)
    marker = newest.with_name(newest.name + ".ok")
    later = json.loads(marker.read_bytes()) | {"format": 2, "codec": "zstd"}
    marker.write_text(json.dumps(later))
    return marker


def test_a_marker_of_a_newer_format_is_told_as_such_and_nothing_is_taken_or_deleted(
    space, other, mirror, remote
):
    three_commits(space, mirror)
    marker = marked_newer(mirror)
    before = mirrors.sums(mirror)
    sender = mirrors.uploader(space, mirror)
    news = mirrors.commit(space, 3)
    for ask in (
        lambda: recover(remote, other, "mirror"),
        lambda: standing_of(remote, space),
        lambda: inspect(remote, space),
        lambda: discard(remote, space, (marker.name.removesuffix(".ok"),)),
        lambda: sender.upload(news, is_last=True),
    ):
        with pytest.raises(NewerFormatError) as caught:
            ask()
        assert str(caught.value).startswith(
            f"{marker} is of format 2, expected format 1"
        )
        assert "pip install --upgrade lowmem" in str(caught.value)
    assert not other.root.exists() or mirrors.sums(other.root) == {}
    assert before.items() <= mirrors.sums(mirror).items()


def test_contents_of_a_newer_format_are_told_as_such_and_not_as_damage(
    space, mirror, remote, monkeypatch
):
    mirrors.begin(space)
    sender = mirrors.uploader(space, mirror)
    monkeypatch.setattr(upload, "Contents", partial(Contents, format=2))
    assert sender.upload(mirrors.commit(space, 0), is_last=False) is not None
    (generation,) = generations(remote)
    with pytest.raises(NewerFormatError, match=f"{generation.name} is of format 2"):
        contents_of(remote, generation)
    with pytest.raises(NewerFormatError, match="format 2"):
        description_of(remote, generation)


def test_a_pipe_in_the_place_of_an_archive_or_a_marker_is_not_waited_for(
    space, other, mirror, remote
):
    states = three_commits(space, mirror)
    *_, middle, newest = archives(mirror)
    newest.unlink()
    os.mkfifo(newest)
    marker = middle.with_name(middle.name + ".ok")
    marker.unlink()
    os.mkfifo(marker)
    recovered = recover(remote, other, "mirror")
    assert "is a pipe" in recovered.damaged[0]
    assert mirrors.sums(other.root) == states[1]
    remote.delete(newest.name)
    assert not newest.exists()


def test_where_nothing_is_whole_nothing_is_begun(space, other, mirror, remote):
    three_commits(space, mirror)
    for path in archives(mirror):
        damage(path, "flipped")
    with pytest.raises(MirrorDamagedError):
        recover(remote, other, "mirror")
    assert mirrors.sums(other.root) == {}


def test_three_generations_are_kept_of_each_job(space, mirror):
    mirrors.begin(space)
    sender = mirrors.uploader(space, mirror)
    for generation in range(5):
        sender.upload(mirrors.commit(space, generation), is_last=False)
    assert len(archives(mirror)) == 3
    assert len(list((mirror / "work").iterdir())) == 6


def test_two_machines_that_share_a_mirror_never_mix(space, other, mirror, remote):
    """Both go on from one generation; each keeps its own, and neither deletes."""
    mirrors.begin(space)
    sender = mirrors.uploader(space, mirror)
    sender.upload(mirrors.commit(space, 0), is_last=False)
    recover(remote, other, "mirror")
    second = mirrors.uploader(other, mirror)
    second.clock.time += timedelta(days=1)
    for generation in range(1, 6):
        sender.upload(mirrors.commit(space, generation), is_last=False)
        second.upload(mirrors.commit(other, generation), is_last=False)
    assert len(archives(mirror)) == 6
    assert standing_of(remote, space) is Relation.SHARED
    assert len(second.others) == 3
    third = Workspace.at(space.root.parent.parent / "third" / "work")
    found = recover(remote, third, "mirror")
    # The newest commit of all, with nothing of the other lineage.
    assert found.other_lineages == 3
    assert third.journal.read_bytes() == other.journal.read_bytes()
    restored = third.checkpoints("train") / "gen-00000005" / "state.npz"
    original = other.checkpoints("train") / "gen-00000005" / "state.npz"
    assert restored.read_bytes() == original.read_bytes()


def test_what_is_there_already_stays(space, other, mirror, remote):
    sender = mirrors.uploader(space, mirror)
    mirrors.begin(space)
    mirrors.commit(space, 0)
    shutil.rmtree(space.staging("train"))
    (space.root / "mine.txt").write_text("made by the job")
    sender.upload(mirrors.finish(space, 0, ("mine.txt",)), is_last=False)
    other.root.mkdir(parents=True)
    (other.root / "mine.txt").write_text("the user's")
    found = recover(remote, other, "mirror")
    assert (other.root / "mine.txt").read_text() == "the user's"
    assert found.kept == (str(other.root / "mine.txt"),)


def test_a_recovery_that_was_cut_begins_anew(space, other, mirror, remote, monkeypatch):
    states = three_commits(space, mirror)
    from lowmem.mirror import recover as module

    def full(*_):
        raise StorageError(path="disk", problem="full")

    with monkeypatch.context() as patch:
        patch.setattr(module, "put_in_place", full)
        with pytest.raises(StorageError):
            recover(remote, other, "mirror")
    recover(remote, other, "mirror")
    assert mirrors.sums(other.root) == states[-1]


def test_anybody_can_open_a_generation(space, mirror):
    three_commits(space, mirror)
    with tarfile.open(archives(mirror)[-1]) as archive:
        rows = archive.extractfile(".lowmem/jobs/train/staging/rows.txt")
        assert rows.read() == b"row\nrow\n"


def hostile(mirror, add):
    """Write a generation as `add` wants it, correct in all else."""
    journal = b""
    about = About(
        job="train",
        generation=0,
        is_done=False,
        sequence=0,
        journal_sha256=hashlib.sha256(journal).hexdigest(),
        at="2026",
    )
    folder = mirror / "work"
    folder.mkdir(parents=True)
    path = folder / "train-000000000000-0badcafe.lowmem"
    entries = [
        Entry(
            path=".lowmem/journal.jsonl",
            size_bytes=0,
            sha256=about.journal_sha256,
            mtime_ns=0,
            member=".lowmem/journal.jsonl",
        )
    ]
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:

        def put(name, data, **kinds):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in kinds.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))

        put("about.json", msgspec.json.encode(about))
        put(".lowmem/journal.jsonl", journal)
        entries += add(put)
        put(
            "contents.json",
            bytes_from_contents(Contents(about=about, entries=tuple(entries))),
        )


def _entry(path, member, data=b"evil"):
    return Entry(
        path=path,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        mtime_ns=0,
        member=member,
    )


def _escape(put):
    put("x", b"evil")
    return [_entry("../../evil", "x")]


def _link(put):
    put("x", b"", type=tarfile.SYMTYPE, linkname="/etc")
    return []


def _hard_link(put):
    put("x", b"", type=tarfile.LNKTYPE, linkname="about.json")
    return []


def _device(put):
    put("x", b"", type=tarfile.CHRTYPE)
    return []


def _into_lock(put):
    put("x", b"evil")
    return [_entry(".lowmem/lock", "x")]


def _twice(put):
    put("x", b"evil")
    return [_entry("model/a", "x"), _entry("model/a", "x")]


@pytest.mark.parametrize(
    "add", [_escape, _link, _hard_link, _device, _into_lock, _twice]
)
def test_a_hostile_generation_is_refused(tmp_path, mirror, remote, other, add):
    hostile(mirror, add)
    with pytest.raises(MirrorDamagedError):
        recover(remote, other, "mirror")
    assert not list(tmp_path.rglob("evil"))
    assert mirrors.sums(other.root) == {}


def test_a_workspace_without_hostile_parts_is_accepted(mirror, remote, other):
    """The frame of the hostile ones is sound."""

    def add(put):
        put("x", b"good")
        return [_entry("model/a", "x", b"good")]

    hostile(mirror, add)
    recover(remote, other, "mirror")
    assert (other.model / "a").read_bytes() == b"good"


def test_a_missing_package_is_named():
    with pytest.raises(MirrorPackageError, match="pip install s3fs") as caught:
        Remote.open("s3://bucket/folder", "work")
    assert caught.value.exit_code == 69


def test_an_unknown_kind_of_store_is_refused():
    with pytest.raises(MirrorPackageError) as caught:
        Remote.open("nonsense://bucket", "work")
    assert caught.value.exit_code == 69


def test_a_mount_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(MirrorMissingError, match="mounted"):
        Remote.open(str(tmp_path / "drive" / "MyDrive"), "work")
    assert list(tmp_path.iterdir()) == []


def test_any_store_of_fsspec_serves(space, other):
    """Here one in memory; names and bytes are all that is asked of it."""
    states = three_commits(space, "memory://mirror-test")
    recover(Remote.open("memory://mirror-test", "work"), other, "mirror")
    assert mirrors.sums(other.root) == states[-1]

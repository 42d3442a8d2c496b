"""`lowmem verify` finds whatever is not as it was written, and nothing else."""

from __future__ import annotations

import json
import shutil

import msgspec
import numpy as np
import pytest

from lowmem.base.errors import NewerFormatError, StorageError
from lowmem.base.errors_outside import NotAllowedError
from lowmem.base.journal import JournalWriter, read_bodies
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.manifest import (
    MANIFEST,
    bytes_from_manifest,
    manifest_from_bytes,
)
from lowmem.protocol.records import JobEnded
from lowmem.repair.check import verify
from tests.processes.lowmem_runs import SQUARES, job_file, lowmem, records, run

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Files that nothing is promised of: logs, charts, the lock, the page.
UNCHECKED = {"telemetry.jsonl", "worker.log", "stacks.txt", "lock", "report.html"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A workspace in which the job ran without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    space = folder / "w"
    assert run(job_file(folder, SQUARES), space, cycle_steps=1).status == 0
    return space


@pytest.fixture
def space(whole, tmp_path):
    """A copy, to be damaged."""
    copy = tmp_path / "w"
    shutil.copytree(whole, copy)
    return copy


def findings(space):
    return verify(Workspace.at(space)).findings


def flip(path, place, bit):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def checked_files(space):
    return sorted(
        path
        for path in space.rglob("*")
        if path.is_file() and path.name not in UNCHECKED
    )


def test_an_undamaged_workspace_is_whole(whole):
    found = verify(Workspace.at(whole))
    assert found.is_whole
    assert found.notes == ()
    # Five chunks, two files of metadata, the text.
    assert (found.tally.results, found.tally.chunks) == (8, 5)
    assert found.tally.unrecorded == 0
    assert found.tally.checkpoints == 2


def test_a_whole_checkpoint_of_another_run_vouches_for_nothing(space):
    newest = max((space / ".lowmem/jobs/squares/checkpoints").glob("gen-*")) / MANIFEST
    manifest = manifest_from_bytes(newest.read_bytes())
    other = {"other.txt": manifest.results["squares.txt"]}
    foreign = msgspec.structs.replace(manifest, publish=("other.txt",), results=other)
    newest.write_bytes(bytes_from_manifest(foreign))
    (space / "squares.txt").write_text("altered")
    found = findings(space)
    assert [f.kind for f in found] == ["checkpoint"] * len(found)
    assert "it is of another run" in found[0].problem
    assert found[0].path.endswith(f"{newest.parent.name}/{MANIFEST}")
    assert lowmem("verify", space).status == 65
    # A result that is as it was is listed anew from the journal's checksum of all.
    (space / "squares.txt").write_text("18 squares\n")
    assert lowmem("verify", space, "--repair").status == 0
    assert findings(space) == ()


def test_one_flipped_bit_in_any_file_is_found_and_the_file_named(space):
    draw = np.random.default_rng(4)
    files = checked_files(space)
    assert len(files) == 8 + 3 + 1, files
    for path in files:
        content = path.read_bytes()
        for _ in range(6):
            flip(path, int(draw.integers(len(content))), int(draw.integers(8)))
            found = findings(space)
            name = path.relative_to(space).as_posix()
            assert any(one.path == name for one in found), (name, found)
            path.write_bytes(content)
    assert findings(space) == ()


def test_a_missing_or_shortened_file_is_found(space):
    for path in checked_files(space):
        if path.name == "journal.jsonl":
            continue  # Of an append-only file its readers cannot know.
        content = path.read_bytes()
        name = path.relative_to(space).as_posix()
        path.write_bytes(content[:-2])
        assert any(one.path == name for one in findings(space)), name
        path.unlink()
        assert any(one.path == name for one in findings(space)), name
        path.write_bytes(content)


def test_a_damaged_chunk_is_told_with_its_samples(space):
    flip(space / "squares.zarr" / "squares" / "c.2.0", 5, 1)
    (found,) = findings(space)
    assert found.kind == "chunk"
    assert found.job == "squares"
    assert found.samples == "samples 8 to 11"


def test_chunks_are_checked_where_nothing_was_recorded_of_them(space):
    """As in a workspace of an older lowmem, or without its private folder."""
    shutil.rmtree(space / ".lowmem")
    found = verify(Workspace.at(space))
    assert found.is_whole
    assert found.tally.unrecorded == 5
    flip(space / "squares.zarr" / "squares" / "c.4.0", 0, 0)
    (damage,) = findings(space)
    assert damage.samples == "samples 16 to 17"


def test_a_workspace_without_recorded_sums_is_no_damage(space):
    """Records and manifests that an older lowmem wrote have no field for them."""
    journal = space / ".lowmem" / "journal.jsonl"
    bodies = list(read_bodies(journal))
    journal.unlink()
    with JournalWriter(journal) as writer:
        for body in bodies:
            document = json.loads(body)
            document.pop("results_sha256", None)
            writer.append(json.dumps(document).encode())
    for path in space.rglob(MANIFEST):
        document = manifest_from_bytes(path.read_bytes())
        document.results.clear()
        path.write_bytes(bytes_from_manifest(document))
    assert verify(Workspace.at(space)).is_whole


def test_one_flipped_bit_in_a_line_of_the_journal_or_its_end_is_named(space):
    journal = space / ".lowmem" / "journal.jsonl"
    content = journal.read_bytes()
    ends = [i for i, byte in enumerate(content) if byte == ord("\n")]
    for place in (ends[0] - 30, ends[1], ends[-1] - 30, ends[-1]):
        number = sum(end < place for end in ends) + 1
        for bit in (0, 6):
            flip(journal, place, bit)
            found = verify(Workspace.at(space))
            (damage,) = (one for one in found.findings if one.kind == "journal")
            assert damage.problem.startswith(("line ", "lines ")), damage
            assert f" {number} " in damage.problem
            assert not any("half a line" in note for note in found.notes)
            journal.write_bytes(content)


def test_half_a_line_at_the_end_is_what_a_crash_leaves(space):
    journal = space / ".lowmem" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"crc":"00')
    found = verify(Workspace.at(space))
    assert found.is_whole
    assert "half a line" in found.notes[0]


def test_the_command_says_what_is_damaged_and_exits_with_65(space):
    assert lowmem("verify", space).status == 0
    chunk = space / "squares.zarr" / "squares" / "c.1.0"
    flip(chunk, 9, 3)
    ended = lowmem("verify", space)
    assert ended.status == 65
    assert "squares.zarr/squares/c.1.0" in ended.paragraph
    assert "samples 4 to 7" in ended.out
    document = json.loads(lowmem("verify", space, "--json").out)
    assert document["is_whole"] is False
    assert document["findings"][0]["job"] == "squares"


def test_a_checkpoint_or_a_journal_of_a_newer_format_is_told_as_such(space):
    journal = space / ".lowmem" / "journal.jsonl"
    content = journal.read_bytes()
    journal.unlink()
    with JournalWriter(journal) as writer:
        writer.append(
            b'{"type":"JobBegun","job":"a","at":"","reference":"a","recipe":{},'
            b'"unit":"rows","format":2}'
        )
    with pytest.raises(NewerFormatError, match="format 2"):
        verify(Workspace.at(space))
    assert lowmem("status", space).status == 65
    assert "newer lowmem" in lowmem("status", space).paragraph
    journal.write_bytes(content)
    (path, *_) = sorted(space.rglob(MANIFEST), reverse=True)
    text = bytes_from_manifest(manifest_from_bytes(path.read_bytes()))
    body = text.partition(b"\n")[2].replace(b'"format": 1', b'"format": 2')
    path.write_bytes(_with_checksum(body.removesuffix(b"\n")))
    with pytest.raises(NewerFormatError, match="format 2"):
        verify(Workspace.at(space))


def _with_checksum(body):
    import hashlib

    digest = hashlib.sha256(body).hexdigest().encode()
    return b"lowmem-manifest %s\n%s\n" % (digest, body)


def test_results_that_are_gone_are_told(space):
    shutil.rmtree(space / "squares.zarr")
    found = findings(space)
    assert {one.remedy for one in found} == {"recompute"}
    assert len(found) == 7
    ended = [r for r in records(space) if isinstance(r, JobEnded)]
    assert ended[-1].results_sha256


def test_what_the_disk_cannot_give_back_is_damage_and_the_rest_is_read(
    space, monkeypatch
):
    from lowmem.repair import check

    real, lost = check.sums_of, space / "squares.zarr" / "squares" / "c.3.0"

    def failing(path):
        if path == lost:
            raise StorageError(path=path, problem="Input/output error")
        return real(path)

    monkeypatch.setattr(check, "sums_of", failing)
    flip(space / "squares.txt", 0, 0)
    found = {one.path: one.problem for one in findings(space)}
    assert len(found) == 2
    assert "Input/output error" in found["squares.zarr/squares/c.3.0"]


@pytest.mark.parametrize("reader", ["sums_of", "examine"])
def test_what_this_user_may_not_read_is_not_called_damage(space, reader, monkeypatch):
    from lowmem.repair import check

    def refused(path):
        raise NotAllowedError(path=path, problem="Permission denied")

    monkeypatch.setattr(check, reader, refused)
    with pytest.raises(NotAllowedError, match="not this user's"):
        findings(space)


def test_a_workspace_in_use_is_not_verified(space):
    from lowmem.base.clock import SystemClock
    from lowmem.supervisor.lock import WorkspaceLock

    with WorkspaceLock(Workspace.at(space), SystemClock()):
        assert lowmem("verify", space).status == 2

"""`lowmem verify` holds the mirror against the workspace, and repairs one from the other."""

from __future__ import annotations

import json
import shutil

import msgspec
import pytest

from lowmem.base.journal import line_from_body
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.generations import generation_path, generations
from lowmem.protocol.records import body_from_record
from lowmem.repair import mirror_check
from lowmem.repair.apply import repair
from lowmem.repair.mirror_check import remembered_mirror, verify_with
from tests import mirrors
from tests.processes.lowmem_runs import (
    COUNTING,
    assert_counted,
    attempts,
    job_file,
    lowmem,
    records,
    run,
    stop_after_commits,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

PAUSE = ("--pause", 0.05)
# With an array in its checkpoints.
SUMMING = COUNTING.replace("time, lowmem", "time, lowmem, numpy").replace(
    "items=1,", "items=1, arrays={'total': numpy.array([total])},"
)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A finished workspace, its mirror, and the job, whose file is gone by then."""
    folder = tmp_path_factory.mktemp("original")
    job = job_file(folder, COUNTING)
    ended = run(job, folder / "work", "--mirror", folder / "mirror")
    assert ended.status == 0, ended
    # Nothing can be made again: what comes back comes from the mirror.
    job.unlink()
    return folder


@pytest.fixture
def place(original, tmp_path):
    """A copy of both: the workspace remembers the original's mirror."""
    shutil.copytree(original / "work", tmp_path / "work")
    shutil.copytree(original / "mirror", tmp_path / "mirror")
    return tmp_path


@pytest.fixture
def space(place):
    return Workspace.at(place / "work")


@pytest.fixture
def mirror(place):
    return str(place / "mirror")


def results(space):
    found = mirrors.sums(space.root)
    return {name: found[name] for name in ("count.json", "rows.txt")}


def flip(path, place=-9):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def archives(place):
    return sorted((place / "mirror" / "work").glob("*.lowmem"))


def newest(place):
    return max(archives(place), key=lambda path: path.name.split("-")[1])


def checkpoint(space):
    folder = space.checkpoints("count")
    return generation_path(folder, generations(folder)[-1])


def test_the_remembered_mirror_is_verified_and_told(original):
    space = Workspace.at(original / "work")
    assert remembered_mirror(space) == str(original / "mirror")
    ended = lowmem("verify", space.root)
    assert ended.status == 0, ended
    assert "count: durable 5 of committed 5, results equal to the bit" in ended.out
    standing = json.loads(lowmem("verify", space.root, "--json").out)["mirror"]
    n = len(archives(original))
    assert (standing["n_generations"], standing["n_whole"]) == (n, n)


def test_a_damaged_result_comes_from_the_mirror_without_running_the_job(space, mirror):
    before, journal = results(space), space.journal.read_bytes()
    flip(space.root / "rows.txt")
    (space.root / "count.json").unlink()
    ended = lowmem("verify", space.root, "--repair", "--mirror", mirror)
    assert ended.status == 0, ended
    assert ended.out.count("from the mirror") == 2
    assert results(space) == before
    assert space.journal.read_bytes() == journal
    assert not list(space.root.rglob("restoring"))


def test_one_flipped_bit_in_an_archive_is_found_and_removed_by_a_repair(
    place, space, mirror
):
    damaged = newest(place)
    content = damaged.read_bytes()
    flip(damaged, content.index(b"0\n1\n2\n"))
    found = verify_with(space, mirror)
    (finding,) = found.findings
    assert (finding.kind, finding.path) == ("mirror", str(damaged))
    assert found.mirror.n_whole == found.mirror.n_generations - 1
    assert lowmem("verify", space.root, "--mirror", mirror).status == 65
    left, told = repair(space, mirror)
    assert left.is_whole, left.findings
    assert damaged.name in told.done[0]
    assert not damaged.exists()
    assert not damaged.with_name(damaged.name + ".ok").exists()


def test_damage_on_both_sides_is_repaired_from_what_is_whole_of_either(
    place, space, mirror
):
    """The archive's other files are still believed, each by its own checksum."""
    before = results(space)
    flip(space.root / "count.json")
    for archive in archives(place):
        content = archive.read_bytes()
        flip(archive, content.index(b"0\n1\n2\n"))
    left, told = repair(space, mirror)
    assert left.is_whole, left.findings
    assert "count.json: from the mirror" in told.done[0]
    assert results(space) == before
    assert archives(place) == []


def test_bytes_that_are_damaged_on_both_sides_are_not_believed(place, space, mirror):
    """And while the workspace is not whole, nothing is deleted from its mirror."""
    flip(space.root / "rows.txt", 0)
    damaged = (space.root / "rows.txt").read_bytes()
    for archive in archives(place):
        flip(archive, archive.read_bytes().index(b"0\n1\n2\n"))
    n_archives = len(archives(place))
    left, told = repair(space, mirror)
    assert [f.path for f in left.findings if f.kind != "mirror"] == ["rows.txt"]
    assert told.failed
    assert not any("from the mirror" in text for text in told.done)
    assert (space.root / "rows.txt").read_bytes() == damaged
    assert len(archives(place)) == n_archives


def test_a_mirror_of_another_lineage_is_refused(space, mirror):
    """Even where it holds the very bytes that are wanted."""
    first, *others = records(space.root)
    moved = [msgspec.structs.replace(first, at="another"), *others]
    lines = (line_from_body(body_from_record(record)) for record in moved)
    space.journal.write_bytes(b"".join(lines))
    flip(space.root / "rows.txt")
    left, told = repair(space, mirror)
    assert [finding.path for finding in left.findings] == ["rows.txt"]
    assert not any("from the mirror" in text for text in told.done)
    assert "of another lineage" in left.notes[0]
    assert left.mirror.n_generations == 0
    assert left.mirror.n_others > 0


def test_a_mirror_that_cannot_be_read_is_no_damage(space, tmp_path):
    ended = lowmem("verify", space.root, "--mirror", tmp_path / "gone" / "mirror")
    assert ended.status == 0, ended
    assert "cannot be read, which is no damage here" in " ".join(ended.out.split())
    flip(space.root / "rows.txt")
    left, _ = repair(space, str(tmp_path / "gone" / "mirror"))
    assert "is not there" in left.mirror.problem
    assert [finding.path for finding in left.findings] == ["rows.txt"]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A workspace under way with its mirror."""
    folder = tmp_path_factory.mktemp("stopped")
    job, space = job_file(folder, SUMMING), folder / "work"
    stop_after_commits(job, space, 2, "--mirror", folder / "mirror", *PAUSE)
    return folder


@pytest.mark.parametrize("lost", ["manifest.json", "state.npz", "newest", "all"])
def test_a_lost_checkpoint_comes_from_the_mirror(stopped, tmp_path, lost):
    shutil.copytree(stopped, tmp_path / "stopped")
    space = Workspace.at(tmp_path / "stopped" / "work")
    last = checkpoint(space)
    before = mirrors.sums(last)
    if lost == "all":
        shutil.rmtree(space.checkpoints("count"))
    elif lost == "newest":
        shutil.rmtree(last)
    else:
        flip(last / lost)
    left, told = repair(space, str(tmp_path / "stopped" / "mirror"))
    assert left.is_whole, left.findings
    assert "from the mirror" in told.done[0]
    assert mirrors.sums(last) == before


def test_a_job_goes_on_from_a_checkpoint_that_came_from_the_mirror(stopped, tmp_path):
    shutil.copytree(stopped, tmp_path / "stopped")
    space = Workspace.at(tmp_path / "stopped" / "work")
    n_committed = verify_with(space, None).tally.checkpoints
    shutil.rmtree(space.checkpoints("count"))
    repair(space, str(tmp_path / "stopped" / "mirror"))
    assert run(tmp_path / "stopped" / "job.py", space.root).status == 0
    assert attempts(space.root)[-1].next_cycle >= n_committed > 0
    assert_counted(space.root)


def test_what_a_cut_upload_left_is_no_damage_and_goes_with_a_repair(
    place, space, mirror
):
    whole = newest(place)
    cut = whole.with_name(whole.name.replace(whole.stem[-8:], "0badcafe"))
    cut.write_bytes(whole.read_bytes()[:5000])
    data = cut.with_suffix(".data")
    shutil.copy(cut, data)
    nobodys = cut.with_name("count-000000000001-0badcafe.lowmem")
    nobodys.write_bytes(b"")
    found = verify_with(space, mirror)
    assert found.is_whole
    assert sum("never counted" in note for note in found.notes) == 3
    left, _ = repair(space, mirror)
    assert left.is_whole
    assert not cut.exists()
    assert not data.exists()
    assert nobodys.exists()
    assert whole.exists()


def test_many_files_are_asked_for_in_messages_that_fit_a_pipe():
    wanted = {f"images.zarr/images/c.{n}.0.0.0": "0" * 64 for n in range(2000)}
    parts = list(mirror_check.parts_of(wanted))
    assert {p: s for part in parts for p, s in part.items()} == wanted
    assert all(len(json.dumps(part)) < 2**15 for part in parts)

"""`lowmem verify --repair` gives back what was written, to the bit, or says what is lost."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from lowmem.base.workspace import Workspace
from lowmem.checkpoints.generations import generation_path, generations
from lowmem.repair.apply import repair as repair_in
from lowmem.repair.check import verify
from lowmem.report.read import read_report
from tests.processes.lowmem_runs import (
    SQUARES,
    job_file,
    lowmem,
    run,
    stop_after_commits,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Not the same twice: what it made cannot be made again.
CASUAL = SQUARES.replace(
    "18 squares", "{__import__('time').time_ns()} squares"
).replace('write_text("{', 'write_text(f"{')


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    assert run(job_file(folder, SQUARES), folder / "w", cycle_steps=1).status == 0
    return folder / "w"


@pytest.fixture
def space(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "w")
    return tmp_path / "w"


def sums(space):
    """Return the SHA-256 of every published file."""
    return {
        path.relative_to(space).as_posix(): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in space.rglob("*")
        if path.is_file() and ".lowmem" not in path.parts and path.suffix != ".html"
    }


def flip(path, place=-9, bits=1):
    content = bytearray(path.read_bytes())
    content[place] ^= bits
    path.write_bytes(content)


def repair(space):
    ended = lowmem("verify", space, "--repair", "--json")
    return ended, json.loads(ended.out)


def repaired_here(space):
    """Do the same in this process: nothing needs a worker."""
    left, told = repair_in(Workspace.at(space))
    assert left.is_whole, left.findings
    return told.done


def newest_generation(space, job="squares"):
    folder = Workspace.at(space).checkpoints(job)
    return generation_path(folder, generations(folder)[-1])


def test_damaged_results_are_made_again_to_the_bit(whole, space):
    flip(space / "squares.zarr" / "squares" / "c.2.0")
    (space / "squares.zarr" / "squares" / "c.4.0").unlink()
    (space / "squares.txt").write_text("")
    cycles = len(
        read_report(Workspace.at(space), is_live=False).jobs["squares"].committed
    )
    ended, document = repair(space)
    assert ended.status == 0, ended
    assert document["is_whole"]
    assert len(document["repairs"]) == 3
    assert sums(space) == sums(whole)
    job = read_report(Workspace.at(space), is_live=False).jobs["squares"]
    assert (job.state, len(job.committed), job.items) == ("done", cycles, 18)
    assert not list(space.rglob("rebuild"))


def test_one_chunk_of_an_ingest_is_made_again_from_its_row(tmp_path):
    space, options = tmp_path / "w", ("--source", "faces:300", "--size", "16")
    assert lowmem("run", "ingest", "--workspace", space, *options).status == 0
    before = sums(space)
    chunk = space / "images.zarr" / "images" / "c.1.0.0.0"
    flip(chunk)
    (space / "images.zarr" / "features" / "c.2.0").unlink()
    ended, _ = repair(space)
    assert ended.status == 0, ended
    assert sums(space) == before


def test_what_cannot_be_made_again_is_left_and_told(tmp_path):
    space = tmp_path / "w"
    assert run(job_file(tmp_path, CASUAL), space, cycle_steps=1).status == 0
    (space / "squares.txt").write_text("0 squares\n")
    ended, document = repair(space)
    assert ended.status == 65
    assert "not what was published" in document["not_repaired"][0]
    assert (space / "squares.txt").read_text() == "0 squares\n"


@pytest.mark.parametrize("kind", ["JobBegun", "RunBegun", "CycleEnded", "JobEnded"])
def test_a_lost_line_of_the_journal_is_made_good_from_the_checkpoints(space, kind):
    journal = space / ".lowmem" / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    place = max(n for n, line in enumerate(lines) if kind.encode() in line)
    lines[place] = lines[place][:30] + b"????" + lines[place][34:]
    journal.write_bytes(b"".join(lines))
    assert "taken out" in repaired_here(space)[0]
    job = read_report(Workspace.at(space), is_live=False).jobs["squares"]
    assert job.state == "done"
    assert [c.index for c in job.committed] == list(range(len(job.committed)))
    assert job.items == 18
    assert job.summary == {"n": 18}


def test_a_workspace_goes_on_without_its_journal(tmp_path):
    job, space = job_file(tmp_path, SQUARES), tmp_path / "w"
    stop_after_commits(job, space, 2, "--cycle-steps", 1)
    (space / ".lowmem" / "journal.jsonl").unlink()
    repaired_here(space)
    assert run(job, space).status == 0
    assert verify(Workspace.at(space)).is_whole


def test_a_damaged_checkpoint_is_passed_over_by_the_job_and_removed_by_a_repair(
    whole, tmp_path
):
    job, space = job_file(tmp_path, SQUARES), tmp_path / "w"
    stop_after_commits(job, space, 3, "--cycle-steps", 1)
    other = tmp_path / "other"
    shutil.copytree(space, other)
    for place in (space, other):
        flip(newest_generation(place) / "state.npz")
    ended = run(job, space)
    assert ended.status == 0
    assert "is damaged; going on from generation" in ended.err
    assert "removed" in repaired_here(other)[0]
    assert run(job, other).status == 0
    for place in (space, other):
        assert sums(place) == sums(whole)
        done = read_report(Workspace.at(place), is_live=False).jobs["squares"]
        assert done.items == 18


def test_a_lost_list_of_checksums_is_written_anew_if_the_results_are_as_they_were(
    space,
):
    path = newest_generation(space)
    content = (path / "manifest.json").read_bytes()
    flip(path / "manifest.json")
    repaired_here(space)
    again = json.loads((path / "manifest.json").read_bytes().partition(b"\n")[2])
    assert again["results"] == json.loads(content.partition(b"\n")[2])["results"]
    # Nobody can vouch for results that changed meanwhile.
    shutil.rmtree(path)
    (space / "squares.txt").write_text("18 squared\n")
    left, _ = repair_in(Workspace.at(space))
    assert [finding.kind for finding in left.findings] == ["checkpoint"]

"""What a mirror tells of a lost machine's sittings, with no workspace and nothing written."""

from __future__ import annotations

import shutil

import pytest

from lowmem.base.errors import ReportedError, UsageError
from lowmem.base.workspace import Workspace
from lowmem.mirror.journals import bring_journals
from lowmem.mirror.remote import Remote
from lowmem.pipeline.mirror_sittings import is_mirror, mirror_sats
from lowmem.protocol.records import Machine
from lowmem.report.accounting import usage_of
from lowmem.report.read import read_sats
from tests.mirrors import commit, finish, sums, uploader, write
from tests.report_examples import History

pytestmark = pytest.mark.process


def jobs_of(sats):
    return sorted(sat.sitting.job for sat in sats)


def start(space, job):
    """Let a job begin, on a machine that is called like the folder."""
    machine = Machine(name=space.root.name)
    for record in History(job=job).begin().run(machine=machine).start(0).records:
        write(space, record)


def mirrored(folder, mirror, *jobs):
    """Leave a workspace whose every commit is in the mirror."""
    space = Workspace.at(folder)
    sends = uploader(space, mirror)
    for job in jobs:
        start(space, job)
        assert sends.upload(commit(space, 0, job), is_last=True) is not None
    return space


@pytest.fixture
def two(tmp_path):
    """A mirror of two workspaces, of which the machine of one is lost."""
    mirror = tmp_path / "mirror"
    space = mirrored(tmp_path / "a", mirror, "train", "encode")
    lost = mirrored(tmp_path / "b", mirror, "train")
    shutil.rmtree(lost.root)
    return mirror, space


def test_sittings_of_a_lost_machine_count_by_the_mirror_alone(two):
    mirror, space = two
    before = sums(mirror)
    for place in (str(mirror), f"file://{mirror}"):
        assert is_mirror(place)
        found = mirror_sats(place)
        assert jobs_of(found) == ["encode", "train", "train"]
        assert {sat.sitting.workspace for sat in found} == {
            f"{place}/a",
            f"{place}/b",
        }
        assert {sat.sitting.ended for sat in found} == {"lost"}
    assert jobs_of(mirror_sats(str(mirror / "b"))) == ["train"]
    assert sums(mirror) == before
    # What a workspace tells too counts once.
    together = [*read_sats(space, is_live=False), *mirror_sats(str(mirror))]
    assert usage_of(together).total.n_sittings == 3


def test_each_lineage_is_told_and_of_one_the_newest(tmp_path):
    mirror = tmp_path / "mirror"
    first = mirrored(tmp_path / "one" / "w", mirror, "train")
    shutil.copytree(first.root, tmp_path / "two" / "w")
    second = Workspace.at(tmp_path / "two" / "w")
    start(first, "encode")
    assert (
        uploader(first, mirror).upload(commit(first, 0, "encode"), is_last=True)
        is not None
    )
    start(second, "analyze")
    assert (
        uploader(second, mirror).upload(commit(second, 0, "analyze"), is_last=True)
        is not None
    )
    found = bring_journals(Remote.open(str(mirror), ""), tmp_path)
    assert [file.workspace for file in found.files] == ["w", "w"]
    told = usage_of(mirror_sats(str(mirror)))
    assert sorted(one.job for one in told.sittings) == ["analyze", "encode", "train"]


def test_an_archive_that_is_not_whole_is_named_and_the_one_before_it_counts(
    tmp_path, capsys
):
    mirror = tmp_path / "mirror"
    space = mirrored(tmp_path / "w", mirror, "train", "encode")
    (newest,) = (
        path
        for path in (mirror / space.root.name).iterdir()
        if "encode" in path.name and not path.name.endswith(".ok")
    )
    newest.write_bytes(newest.read_bytes()[:1024])
    assert jobs_of(mirror_sats(str(mirror))) == ["train"]
    assert f"{newest.name} is not whole" in capsys.readouterr().err


def test_a_place_without_commits_is_refused_and_one_that_is_gone_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    assert not is_mirror(str(tmp_path / "empty"))
    assert not is_mirror(str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="holds no commit of any workspace"):
        mirror_sats(f"file://{tmp_path / 'empty'}")
    with pytest.raises(ReportedError, match="gone"):
        mirror_sats(f"file://{tmp_path / 'gone' / 'mirror'}")


def test_a_workspace_in_whose_folder_a_mirror_lies_is_the_workspace(tmp_path):
    space = mirrored(tmp_path / "w", tmp_path / "w" / "mirror", "train")
    finish(space, 0, ())
    assert not is_mirror(str(space.root))
    assert is_mirror(str(space.root / "mirror"))

from __future__ import annotations

import os

import msgspec
import pytest

from lowmem.base.clock import SystemClock
from lowmem.base.containment import place_in, refuse_foreign
from lowmem.base.errors import DataError, StorageError, UsageError
from lowmem.base.files import publish, sync_file, write_file
from lowmem.base.journal import read_bodies
from lowmem.base.redo_log import finish_placing, tree_in
from lowmem.base.workspace import Workspace, path_from_text
from lowmem.checkpoints.manifest import (
    MANIFEST,
    bytes_from_manifest,
    manifest_from_bytes,
)
from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.job import Result
from lowmem.protocol.job_decorator import job
from lowmem.repair.journal_lines import read_lines
from lowmem.supervisor.lock import WorkspaceLock, is_held
from tests.driver import drive


@pytest.fixture
def space(tmp_path):
    (tmp_path / "w/.lowmem/jobs/tiny/checkpoints").mkdir(parents=True)
    (tmp_path / "w/.lowmem/jobs/tiny/staging").mkdir()
    return Workspace(tmp_path / "w")


@pytest.fixture
def precious(tmp_path):
    (tmp_path / "precious").write_text("of somebody else")
    return tmp_path / "precious"


KEPT = ["lock", "journal.jsonl", "uploading.json", "jobs/tiny/worker.log", "trials"]


def assert_refused(space, *words: str):
    with pytest.raises(DataError) as caught:
        refuse_foreign(space)
    assert caught.value.exit_code == 65
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", KEPT)
def test_nothing_that_lowmem_keeps_is_opened_through_a_link(space, precious, name):
    (space.private / name).symlink_to(precious)
    assert_refused(space, name, "is a link to", "precious")
    with pytest.raises(DataError), WorkspaceLock(space, SystemClock()):
        pass
    assert precious.read_text() == "of somebody else"


@pytest.mark.parametrize("name", KEPT)
def test_nothing_that_lowmem_keeps_is_waited_for(space, name):
    os.mkfifo(space.private / name)
    assert_refused(space, name, "is a pipe")


@pytest.mark.parametrize("name", ["lock", "journal.jsonl"])
def test_a_folder_in_the_place_of_a_file_is_no_full_disk(space, name):
    (space.private / name).mkdir()
    assert_refused(space, name, "is a folder, expected a regular file")


def test_the_private_folder_itself_is_a_folder_of_the_workspace(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name, target in (("a", tmp_path / "elsewhere"), ("b", tmp_path / "nowhere")):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".lowmem").symlink_to(target)
        assert_refused(Workspace(tmp_path / name), "is a link to")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/.lowmem").write_text("")
    assert_refused(Workspace(tmp_path / "c"), "is no folder")
    refuse_foreign(Workspace(tmp_path / "new"))


def test_a_job_may_link_within_what_it_makes_and_not_out_of_it(space, precious):
    staging = space.staging("tiny")
    (staging / "model-1").mkdir()
    (staging / "latest").symlink_to("model-1")
    os.mkfifo(staging / "pipe")
    refuse_foreign(space)
    (staging / "out").symlink_to(precious)
    assert_refused(space, "staging/out", "is a link to")


def test_a_link_out_is_not_within_because_a_folder_above_is_called_staging(tmp_path):
    space = Workspace(tmp_path / "staging/w")
    space.staging("tiny").mkdir(parents=True)
    (tmp_path / "staging/precious").write_text("")
    (space.staging("tiny") / "out").symlink_to(tmp_path / "staging/precious")
    assert_refused(space, "out", "is a link to")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "", "..", "a\0b"])
def test_a_result_has_no_place_outside_its_workspace(space, name):
    with pytest.raises(DataError, match="outside it"):
        place_in(space.root, name)


def test_a_result_has_no_place_behind_a_link_that_leads_out(space, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (space.root / "model").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="outside the workspace"):
        place_in(space.root, "model/encoder.keras")
    (space.root / "inner").mkdir()
    (space.root / "figures").symlink_to("inner")
    assert place_in(space.root, "figures/a.png") == space.root / "figures/a.png"
    assert place_in(space.root, "model") == space.root / "model"


@pytest.mark.parametrize("unit", ["../precious", "/etc/x"])
def test_a_list_of_what_takes_its_place_names_nothing_outside(space, precious, unit):
    tree = tree_in(space.recovering)
    tree.mkdir(parents=True)
    (space.recovering / "placing.json").write_text(f'["a.txt", "{unit}"]')
    (tree / "a.txt").write_text("new")
    (space.recovering / "precious").write_text("taken")
    with pytest.raises(DataError, match="outside it"):
        finish_placing(space.recovering, space.root)
    assert precious.read_text() == "of somebody else"
    assert not (space.root / "a.txt").exists()


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[" * 5000, "[1]"])
def test_a_list_of_what_takes_its_place_that_cannot_be_read_is_damage(space, text):
    space.recovering.mkdir()
    (space.recovering / "placing.json").write_text(text)
    with pytest.raises(DataError, match=r"placing\.json cannot be read"):
        finish_placing(space.recovering, space.root)


def test_a_file_is_written_beside_a_link_of_its_draft_s_name(tmp_path, precious):
    (tmp_path / "report.html.tmp").symlink_to(precious)
    write_file(tmp_path / "report.html", b"page")
    assert (tmp_path / "report.html").read_bytes() == b"page"
    assert precious.read_text() == "of somebody else"
    os.mkfifo(tmp_path / "report.html.tmp")
    with pytest.raises(StorageError):
        write_file(tmp_path / "report.html", b"other")
    assert (tmp_path / "report.html").read_bytes() == b"page"


def test_a_result_that_is_a_link_is_replaced_and_not_followed(tmp_path, precious):
    (tmp_path / "new").write_text("new")
    (tmp_path / "result").symlink_to(precious)
    publish(tmp_path / "new", tmp_path / "result")
    assert not (tmp_path / "result").is_symlink()
    assert precious.read_text() == "of somebody else"


def test_a_pipe_among_results_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    sync_file(tmp_path / "pipe")


@pytest.mark.parametrize("text", ["[" * 5000, '{"pid": "x"}', "[1]", "3", "\0"])
def test_a_lock_that_names_nobody_is_held_by_nobody(space, text):
    space.lock.write_text(text)
    assert not is_held(space)
    with WorkspaceLock(space, SystemClock()):
        assert is_held(space)


def test_a_path_that_the_locale_cannot_read_is_wrong_usage():
    with pytest.raises(UsageError, match=r"w\\xff.* holds bytes that are no text"):
        path_from_text(b"/tmp/w\xff".decode(errors="surrogateescape"))


def test_a_line_of_a_journal_that_does_not_end_is_not_read_into_memory(space):
    space.journal.touch()
    os.truncate(space.journal, 2**40)
    with pytest.raises(DataError, match="line 1 is longer than 16777216 bytes"):
        list(read_bodies(space.journal))
    with pytest.raises(DataError, match="line 1 is longer than 16777216 bytes"):
        read_lines(space.journal)


@job()
def writer(ctx):
    """Write one result below a folder."""
    yield CommitPoint(items=1)
    (ctx.staging / "out").mkdir(exist_ok=True)
    (ctx.staging / "out/a.txt").write_text("new")
    return Result(publish=["out/a.txt"])


def test_a_result_is_not_published_through_a_link_that_leads_out(tmp_path):
    root, elsewhere = tmp_path / "w", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (elsewhere / "a.txt").write_text("of somebody else")
    (root / "out").symlink_to(elsewhere)
    with pytest.raises(DataError, match="outside the workspace"):
        drive(writer, root)
    assert (elsewhere / "a.txt").read_text() == "of somebody else"
    # The work is kept: without the link the same command publishes it.
    (root / "out").unlink()
    assert drive(writer, root) is not None
    assert (root / "out/a.txt").read_text() == "new"


def test_a_checkpoint_that_names_results_outside_publishes_nothing(tmp_path, precious):
    space = Workspace(tmp_path / "w")
    assert drive(writer, space.root, cycle_steps=100, leave_after=1) is None
    newest = max(space.checkpoints("writer").glob("gen-*")) / MANIFEST
    manifest = manifest_from_bytes(newest.read_bytes())
    assert manifest.phase == "publishing"
    hostile = msgspec.structs.replace(
        manifest, publish=("out/a.txt", "../precious"), results={}
    )
    newest.write_bytes(bytes_from_manifest(hostile))
    with pytest.raises(DataError, match="outside it"):
        drive(writer, space.root)
    assert precious.read_text() == "of somebody else"
    assert not (space.root / "out").exists()

"""Journals as crashes and bad disks leave them."""

from __future__ import annotations

import pytest

from lowmem.base.errors import CorruptFileError
from lowmem.base.journal import JournalWriter
from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from tests.report_examples import History, killed_and_retried, write_journal


@pytest.fixture
def workspace(tmp_path):
    space = Workspace.at(tmp_path)
    write_journal(space, killed_and_retried())
    return space


def test_a_folder_without_a_journal_is_an_empty_report(tmp_path):
    report = read_report(Workspace.at(tmp_path / "absent"), is_live=False)
    assert report.jobs == {}


def test_a_journal_cut_at_any_byte_of_its_last_line_reads_as_if_it_were_not_there(
    tmp_path,
):
    space = Workspace.at(tmp_path)
    write_journal(space, History().begin().run().start(0).cycle(0).cycle(1))
    whole = space.journal.read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    for missing in range(1, last + 1):
        space.journal.write_bytes(whole[:-missing])
        job = read_report(space, is_live=False).jobs["train"]
        assert [cycle.index for cycle in job.cycles] == [0]


def test_a_damaged_line_in_the_middle_is_corrupt_data(workspace):
    lines = workspace.journal.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"items":4096', b'"items":4097')
    workspace.journal.write_bytes(b"".join(lines))
    with pytest.raises(CorruptFileError, match="line 5") as caught:
        read_report(workspace, is_live=False)
    assert caught.value.exit_code == 65


@pytest.mark.parametrize(
    "body", [b'{"type":"Unheard","job":"x"}', b"[]", b'{"type":"JobEnded"}', b"\xff"]
)
def test_a_whole_line_of_no_known_form_is_corrupt_data(workspace, body):
    with JournalWriter(workspace.journal) as journal:
        journal.append(body)
    with pytest.raises(CorruptFileError, match="no known record"):
        read_report(workspace, is_live=False)

"""Names and texts of anybody: what a terminal, a spreadsheet or a page makes of them."""

from __future__ import annotations

import csv
import os
from types import SimpleNamespace

import pytest

from lowmem.base.stderr import without_controls
from lowmem.base.workspace import Workspace
from lowmem.cli.boundary import print_paragraph
from lowmem.protocol.messages import Failed
from lowmem.report.figures import read_gallery
from lowmem.supervisor import endings
from lowmem.supervisor.planner import error_of_stop
from lowmem.supervisor.user_messages import error_of_end
from lowmem_jobs.ingest.report import IngestReport, entries_before

MIB = 2**20


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1+2.png", "@SUM(A1)", "\t=1"])
def test_no_name_in_the_list_of_entries_is_a_formula(tmp_path, name):
    report = IngestReport(tmp_path / "r.csv", n_bytes=0)
    report.append([(name, "skipped", name, ""), ("a=1.png", "stored", "", "0")])
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as stream:
        first, second = csv.DictReader(stream)
    assert first["name"] == first["reason"] == f"'{name}"
    assert second == {"name": "a=1.png", "status": "stored", "reason": "", "row": "0"}


def test_a_carriage_return_in_a_name_ends_no_line_of_the_list(tmp_path):
    report = IngestReport(tmp_path / "r.csv", n_bytes=0)
    report.append([("\r=1\r.png", "stored", "", "0"), ("b.png", "stored", "", "1")])
    assert entries_before(tmp_path / "r.csv", 1) == 1
    assert "\\r=1\\r.png" in (tmp_path / "r.csv").read_text()


def test_a_terminal_is_shown_control_characters_and_does_not_obey_them(capsys):
    print_paragraph("a\x1b]0;title\x07b\x9bc \u00e4 \U0001f600")
    said = capsys.readouterr().err
    assert said == "lowmem: a\\x1b]0;title\\x07b\\x9bc \u00e4 \U0001f600\n"
    assert without_controls("a\tb\nc") == "a\tb\nc"


def test_the_page_embeds_no_picture_through_a_link_and_waits_for_no_pipe(tmp_path):
    space = Workspace(tmp_path / "w")
    space.generated.mkdir(parents=True)
    picture = tmp_path / "private.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(4) + b"IHDR" + bytes(20))
    (space.generated / "a.png").write_bytes(picture.read_bytes())
    (space.generated / "b.png").symlink_to(picture)
    os.mkfifo(space.generated / "c.png")
    found = read_gallery(space)
    assert [figure.place for figure in found.figures] == ["generated/a.png"]
    assert found.left_out == ("generated/b.png", "generated/c.png")


def test_an_allocation_that_failed_is_not_called_a_stop_at_what_was_in_use():
    order = SimpleNamespace(name="hog", ram_budget_bytes=572 * MIB)
    verdict = SimpleNamespace(state="refused", message="", exit_code=73)
    failure = Failed(kind="MemoryError", exit_code=73, message="m", where="a.py:1")
    asked = endings.Broke(
        verdict="ram_limit", ram_bytes=36 * MIB, where="a.py:1 in f", failure=failure
    )
    said = str(error_of_end(order, verdict, asked))
    assert (
        "one allocation asked for more than is left beside 36.0 MiB in a.py:1" in said
    )
    killed = endings.Broke(
        verdict="ram_limit", ram_bytes=560 * MIB, where="a.py:1 in f"
    )
    assert "stopped (ram_limit) at 560.0 MiB" in str(
        error_of_end(order, verdict, killed)
    )


def test_a_machine_that_others_filled_is_not_called_a_budget_too_small():
    order = SimpleNamespace(name="train", ram_budget_bytes=2 * 2**30)
    verdict = SimpleNamespace(state="refused", message="", exit_code=73)
    stopped = endings.Broke(verdict="machine_limit", ram_bytes=70 * MIB)
    told = error_of_end(order, verdict, stopped)
    assert told.exit_code == 73
    assert "the machine has no memory left" in str(told)
    assert "stopped at 70.0 MiB" in str(told)
    assert "--ram-budget" not in str(told)
    assert "`lowmem doctor` names the largest" in str(told)


def test_a_planner_that_others_leave_no_memory_is_not_called_too_large():
    stopped = endings.Broke(verdict="machine_limit", ram_bytes=70 * MIB)
    told = error_of_stop("train", 2 * 2**30, stopped)
    assert told.exit_code == 73
    assert "stopped at 70.0 MiB, before it began" in str(told)
    assert "`lowmem doctor` names the largest" in str(told)
    assert "--ram-budget" not in str(told)
    # Its own budget is another matter.
    own = endings.Broke(verdict="ram_limit", ram_bytes=70 * MIB, where="a.py:1 in f")
    said = str(error_of_stop("train", 72 * MIB, own))
    assert "it was stopped at 70.0 MiB in a.py:1 in f. Raise --ram-budget" in said

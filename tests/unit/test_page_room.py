"""The report's page is not written where what a job has left fills the budget."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from lowmem.base.workspace import Workspace
from lowmem.memory.shared import SharedMemory
from lowmem.pipeline import execute
from lowmem.pipeline.execute import has_room_for_page

MIB = 2**20


@pytest.fixture
def ran(monkeypatch):
    """Return the pages that were asked for, each by a process."""
    pages = []
    monkeypatch.setattr(
        execute, "run_report", lambda _, page: pages.append(page) or True
    )
    return pages


def written_after(tmp_path, *, left_mib, budget_mib):
    totals = iter([100 * MIB, (100 + left_mib) * MIB])
    session = SimpleNamespace(
        space=Workspace(tmp_path), shared=SharedMemory(read_total=lambda: next(totals))
    )
    order = SimpleNamespace(planned_budget_bytes=budget_mib * MIB)
    execute._write_page(order, session)


def test_no_process_is_started_beside_segments_that_fill_the_budget(
    tmp_path, ran, capsys
):
    written_after(tmp_path, left_mib=384, budget_mib=400)
    assert ran == []
    said = capsys.readouterr().err
    for word in (
        "report.html was not written",
        "384.0 MiB",
        "ipcs -m",
        "lowmem report",
    ):
        assert word in said


def test_the_page_is_written_where_there_is_room_or_nothing_was_left(tmp_path, ran):
    written_after(tmp_path, left_mib=300, budget_mib=400)
    # What other programs add a little of is no reason, however small the budget.
    written_after(tmp_path, left_mib=1, budget_mib=50)
    assert len(ran) == 2


def test_what_is_held_and_the_page_together_stay_within_the_budget():
    for left_mib in range(4, 400):
        if has_room_for_page(400 * MIB, left_mib * MIB):
            assert left_mib + 18 + 30 < 400

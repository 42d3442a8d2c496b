"""The lines at the end of a job, and of a command."""

from __future__ import annotations

import pytest

from lowmem.history.fold import history_of
from lowmem.pipeline.execute import line_of_next, lines_at_the_end
from tests.report_examples import killed_and_retried


@pytest.mark.parametrize(
    ("workspace", "command"),
    [
        ("/w", "lowmem run encode --workspace /w"),
        ("/my work", "lowmem run encode --workspace '/my work'"),
    ],
)
def test_a_job_that_is_done_tells_results_time_peak_and_what_is_next(
    workspace, command
):
    past = history_of(killed_and_retried().records).of("train")
    results, took = lines_at_the_end(
        past, workspace, took_s=75, ram_budget_bytes=3 * 10**9
    )
    assert results.split() == ["results", "model", "in", *workspace.split()]
    assert "1 min 15 s, RAM peak 2.00 GiB of 2.79 GiB (3 GB)" in took
    assert line_of_next("train", workspace) == f"  next     {command}"


def test_after_the_last_job_the_report_is_next():
    assert line_of_next("generate", "/w").endswith("lowmem report /w")
    assert line_of_next("count", "/w").endswith("lowmem report /w")

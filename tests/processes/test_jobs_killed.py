"""Every built-in job, killed in the middle: the result is as if nothing had happened."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lowmem_jobs.generate.option_values import METHODS
from tests.processes import pipeline

pytestmark = [pytest.mark.process, pytest.mark.keras, pytest.mark.slow]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A workspace in which the five jobs ran without interruption."""
    workspace = tmp_path_factory.mktemp("whole") / "w"
    for job in pipeline.JOBS:
        pipeline.run(job, workspace)
    return workspace


def report_of(workspace, job):
    line = [sys.executable, "-m", "lowmem", "report", str(workspace), "--json"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["jobs"][job]


def before(job):
    return pipeline.JOBS[: pipeline.JOBS.index(job)]


def assert_nothing_lost_or_done_twice(report, other):
    committed = [c for c in report["cycles"] if c["outcome"] == "committed"]
    indices = [c["index"] for c in committed]
    assert indices == list(range(len(indices)))
    expected = [c for c in other["cycles"] if c["outcome"] == "committed"]
    assert sum(c["items"] for c in committed) == sum(c["items"] for c in expected)


@pytest.mark.parametrize("job", pipeline.JOBS)
def test_a_job_whose_worker_is_killed_ends_with_the_same_result(
    job, uninterrupted, tmp_path
):
    workspace = tmp_path / "w"
    pipeline.copy_results(uninterrupted, workspace, before(job))
    supervisor, worker = pipeline.start_and_wait_for_commits(job, workspace, 2)
    pipeline.kill(worker.pid)
    assert supervisor.wait(pipeline.DEADLINE_S) == 0, supervisor.stderr.read()
    supervisor.stderr.close()
    pipeline.assert_same(uninterrupted, workspace, job)
    report = report_of(workspace, job)
    assert report["attempts"] == 2
    assert [event["verdict"] for event in report["events"]] == ["signal"]
    assert_nothing_lost_or_done_twice(report, report_of(uninterrupted, job))


@pytest.mark.parametrize("job", pipeline.JOBS)
def test_a_job_whose_supervisor_is_killed_continues_with_the_same_command(
    job, uninterrupted, tmp_path
):
    workspace = tmp_path / "w"
    pipeline.copy_results(uninterrupted, workspace, before(job))
    supervisor, worker = pipeline.start_and_wait_for_commits(job, workspace, 2)
    pipeline.kill(supervisor.pid)
    supervisor.wait(pipeline.DEADLINE_S)
    supervisor.stderr.close()
    worker.wait(timeout=10)
    for name in pipeline.RESULTS[job]:
        assert not (workspace / name).exists(), "half-written results are visible"
    pipeline.run(job, workspace)
    pipeline.assert_same(uninterrupted, workspace, job)
    assert_nothing_lost_or_done_twice(
        report_of(workspace, job), report_of(uninterrupted, job)
    )


def test_a_comparison_of_all_methods_whose_worker_is_killed_while_it_scores_is_the_same(
    uninterrupted, tmp_path
):
    options = ("--method", "all", "--count", "20")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for workspace in (whole, cut):
        pipeline.copy_results(uninterrupted, workspace, before("generate"))
    pipeline.run("generate", whole, *options)
    # A commit for each method, then those of real images, of the search, of a score.
    n_commits = len(METHODS) + 8
    supervisor, worker = pipeline.start_and_wait_for_commits(
        "generate", cut, n_commits, *options
    )
    pipeline.kill(worker.pid)
    assert supervisor.wait(pipeline.DEADLINE_S) == 0, supervisor.stderr.read()
    supervisor.stderr.close()
    assert report_of(cut, "generate")["attempts"] == 2
    assert (cut / "generated" / "methods.csv").exists()
    pipeline.assert_same(whole, cut, "generate")

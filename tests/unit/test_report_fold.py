"""What a journal means: cycles that count, states, peaks, attempts."""

from __future__ import annotations

import pytest

from lowmem.report.view import report_from_records
from tests.report_examples import MIB, History, killed_and_retried


def report_of(*histories: History, is_live: bool = False):
    records = [record for history in histories for record in history.records]
    return report_from_records("/w", records, is_live=is_live)


def job_of(history: History, *, is_live: bool = False):
    return report_of(history, is_live=is_live).jobs[history.job]


def outcomes(job):
    return [(cycle.index, cycle.outcome) for cycle in job.cycles]


def test_a_workspace_where_nothing_ran_has_no_jobs():
    assert report_from_records("/w", [], is_live=False).jobs == {}


def test_a_job_that_was_killed_and_retried_counts_each_item_once():
    job = job_of(killed_and_retried())
    assert job.state == "done"
    assert job.attempts == 3
    assert job.items == 40 * 4096
    assert [cycle.index for cycle in job.committed] == list(range(40))
    assert [cycle.items for cycle in job.cycles if cycle.outcome == "interrupted"] == [
        0
    ]


def test_the_peak_of_a_job_is_that_of_the_cycle_that_was_cut():
    assert job_of(killed_and_retried()).ram_peak_bytes == 2050 * MIB


def test_the_peak_of_a_job_is_that_of_an_event_if_no_cycle_saw_it():
    history = History().begin().run().start(0).cycle(0, ram_peak_bytes=5 * MIB)
    history.incident(ram_bytes=9 * MIB)
    assert job_of(history).ram_peak_bytes == 9 * MIB


def test_a_cycle_done_again_from_an_earlier_point_is_rolled_back():
    history = History().begin().run().start(0).cycle(0).cycle(1).cycle(2)
    history.start(1).cycle(1).cycle(2)
    job = job_of(history)
    assert outcomes(job) == [
        (0, "committed"),
        (1, "rolled_back"),
        (2, "rolled_back"),
        (1, "committed"),
        (2, "committed"),
    ]
    assert job.items == 3 * 4096


def test_a_cycle_is_rolled_back_already_when_the_attempt_that_repeats_it_begins():
    history = History().begin().run().start(0).cycle(0).cycle(1).start(1)
    assert outcomes(job_of(history)) == [(0, "committed"), (1, "rolled_back")]


def test_a_rolled_back_cycle_still_holds_the_peak_of_the_job():
    history = History().begin().run().start(0).cycle(0, ram_peak_bytes=99 * MIB)
    history.start(0).cycle(0, ram_peak_bytes=5 * MIB)
    assert job_of(history).ram_peak_bytes == 99 * MIB


def test_a_cycle_journalled_twice_counts_once():
    history = History().begin().run().start(0).cycle(0).cycle(0)
    assert outcomes(job_of(history)) == [(0, "rolled_back"), (0, "committed")]


def test_a_restart_from_nothing_forgets_everything_before_it():
    history = killed_and_retried().run(seed=7).begin().start(0).cycle(0)
    job = job_of(history)
    assert outcomes(job) == [(0, "committed")]
    assert (job.events, job.attempts, job.summary) == ((), 1, {})
    assert job.ram_peak_bytes == 1100 * MIB


@pytest.mark.parametrize("is_begin_first", [True, False])
def test_the_budgets_are_those_of_the_newest_run_wherever_the_job_began(is_begin_first):
    history = History().run(seed=3).end("stopped", 75)
    facts = {"seed": 5, "ram_budget_bytes": 10**9, "time_budget_s": 60.0}
    if is_begin_first:
        history.begin().run(**facts)
    else:
        history.run(**facts).begin()
    job = job_of(history)
    assert (job.seed, job.budgets.ram_bytes, job.budgets.time_s) == (5, 10**9, 60.0)


def test_a_job_that_was_refused_before_it_began_is_reported_without_figures():
    history = History().run().end("refused", 73, message="too large")
    job = job_of(history)
    assert (job.state, job.exit_code, job.message) == ("refused", 73, "too large")
    assert (job.device, job.ram_peak_bytes, job.attempts) == (None, None, 0)
    assert job.cycles == job.events == ()


def test_a_job_refused_by_a_lone_record_has_unknown_budgets():
    job = job_of(History().end("refused", 73))
    assert (job.seed, job.budgets.ram_bytes) == (None, None)


def test_a_job_without_an_end_is_running_while_a_run_holds_the_workspace():
    history = History().begin().run().start(0).cycle(0)
    assert job_of(history, is_live=True).state == "running"
    assert job_of(history, is_live=False).state == "stopped"


def test_a_job_that_runs_again_after_its_end_is_open_again():
    history = History().begin().run().start(0).end("failed", 70, message="broken")
    history.run()
    job = job_of(history, is_live=True)
    assert (job.state, job.exit_code, job.message) == ("running", None, "")


def test_only_the_job_that_wrote_last_is_running():
    lost = History(job="train").begin().run().start(0)
    live = History(job="encode").begin().run().start(0)
    jobs = report_of(lost, live, is_live=True).jobs
    assert (jobs["train"].state, jobs["encode"].state) == ("stopped", "running")


def test_a_job_goes_on_running_when_the_job_it_needed_has_ended():
    outer = History(job="train").begin().run()
    inner = History(job="ingest").begin().run().start(0).end()
    jobs = report_of(outer, inner, is_live=True).jobs
    assert (jobs["train"].state, jobs["ingest"].state) == ("running", "done")


def test_a_worker_that_died_before_it_was_ready_is_an_attempt_too():
    history = History().begin().run()
    history.attempt = 1
    history.incident(verdict="crash")
    assert job_of(history).attempts == 1


def test_attempts_are_counted_over_runs_even_if_each_run_numbers_from_one():
    history = History().begin().run().start(0).cycle(0).end("stopped", 75)
    history.attempt = 0
    history.run().start(1).cycle(1).end()
    assert job_of(history).attempts == 2


def test_what_was_not_measured_is_none_and_what_was_zero_is_zero():
    history = History().begin().run().start(0)
    history.cycle(0, ram_peak_bytes=None, ram_returned_bytes=0, ram_hwm_bytes=None)
    job = job_of(history)
    assert job.ram_peak_bytes is None
    assert job.vram_peak_bytes is None
    assert job.cycles[0].ram_returned_bytes == 0
    assert job.cycles[0].ram_hwm_bytes is None


def test_the_commit_of_a_cycle_that_made_none_was_not_measured():
    history = History().begin().run().start(0).cut(0)
    assert job_of(history).cycles[0].commit_seconds is None


def test_a_run_that_found_its_job_done_does_not_hide_the_result():
    job = job_of(killed_and_retried().run().end())
    assert job.published == ("model",)
    assert job.summary["epochs"] == 2

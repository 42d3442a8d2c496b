"""What trials and real runs leave for the next plan."""

from __future__ import annotations

from lowmem.base.workspace import Workspace
from lowmem.history.job_history import Ceiling, setting_key
from lowmem.protocol.messages import Cycle, PlannedTrial
from lowmem.protocol.records import (
    AttemptBegun,
    CycleEnded,
    Incident,
    JobBegun,
    JobEnded,
    RunBegun,
)
from lowmem.supervisor.known_peaks import (
    TrialPeak,
    ceilings_of,
    known_peak,
    read_compared,
    read_trials,
    write_trials,
)

WHOLE = {"job": "train", "at": "2026-11-22T10:00:00.000Z"}
PEAK = TrialPeak(
    settings={"block": 2},
    options={"n": 3},
    ram_bytes=7,
    is_whole=True,
    ram_budget_bytes=9,
)
TRIAL = PlannedTrial(
    settings={"block": 2}, options={"n": 3}, points=1, terms=(2.0,), floor_bytes=0
)


def begun():
    return JobBegun(**WHOLE, reference="train", recipe={}, unit="images")


def run(key: str = "k", budget: int = 1000):
    return RunBegun(
        **WHOLE,
        seed=1,
        ram_budget_bytes=budget,
        vram_budget_bytes=None,
        time_budget_s=None,
        memory_key=key,
    )


def attempt(number: int, block: int, device: str = "cpu"):
    return AttemptBegun(
        **WHOLE,
        attempt=number,
        device=device,
        next_cycle=0,
        settings={"block": block},
        versions={},
    )


def cycle(number: int, block: int, peak: int | None, outcome: str = "committed"):
    made = Cycle(
        index=0,
        items=1,
        started_at=WHOLE["at"],
        seconds=1.0,
        commit_seconds=0.0,
        settings={"block": block},
    )
    return CycleEnded(
        **WHOLE, attempt=number, outcome=outcome, cycle=made, ram_peak_bytes=peak
    )


def stop(number: int, verdict: str = "ram_limit"):
    return Incident(
        **WHOLE, attempt=number, verdict=verdict, ram_bytes=990, where=None, action=""
    )


def done():
    return JobEnded(**WHOLE, state="done", exit_code=0)


def of(*records, key: str = "k", device: str = "cpu"):
    found = ceilings_of("train", key, device, records)
    return {dict(settings)["block"]: ceiling for settings, ceiling in found.items()}


def test_a_run_that_ended_well_leaves_its_largest_peak():
    records = [
        begun(),
        run(),
        attempt(1, 4),
        cycle(1, 4, 300),
        cycle(1, 4, 200),
        done(),
    ]
    assert of(*records) == {4: Ceiling(held_bytes=300)}


def test_a_stop_leaves_the_budget_of_then_and_what_worked_after_it_is_but_a_part():
    records = [begun(), run(), attempt(1, 4), cycle(1, 4, 950, "interrupted"), stop(1)]
    assert of(*records) == {4: Ceiling(stopped_bytes=1000)}
    records += [attempt(2, 2), cycle(2, 2, 600), done()]
    assert of(*records)[2] == Ceiling(held_bytes=600, is_whole=False)
    assert of(*records)[4] == Ceiling(stopped_bytes=1000)


def test_a_worker_stopped_before_it_was_ready_counts_against_its_own_settings():
    records = [begun(), run(), attempt(1, 4), cycle(1, 4, 950, "interrupted"), stop(1)]
    records += [cycle(2, 2, 940, "interrupted"), stop(2)]
    assert set(of(*records)) == {4, 2}


def test_runs_of_another_key_or_device_and_stops_by_others_tell_nothing():
    rest = [attempt(1, 4), cycle(1, 4, 300), done()]
    assert not of(begun(), run(key="other"), *rest)
    assert not of(begun(), run(), *rest, device="gpu")
    assert not of(
        begun(), run(), attempt(1, 4), cycle(1, 4, 1), stop(1, "machine_limit")
    )


def test_a_job_run_twice_is_known_by_its_last_run_alone():
    first = [begun(), run(), attempt(1, 4), cycle(1, 4, 900), done()]
    again = [begun(), run(), attempt(1, 4), cycle(1, 4, 300), done()]
    assert of(*first, *again) == {4: Ceiling(held_bytes=300)}


def test_trials_are_read_back_and_a_damaged_file_is_forgotten(tmp_path):
    space = Workspace.at(tmp_path)
    assert read_trials(space, "k") == ()
    write_trials(space, "k", "train", [PEAK], {"r": "differs"})
    assert read_compared(space, "k") == {"r": "differs"}
    assert read_trials(space, "k") == (PEAK,)
    assert read_trials(space, "other") == ()
    (file,) = space.trials.iterdir()
    for damaged in (b"", b"{", b'{"job": 1}', file.read_bytes()[:-20]):
        file.write_bytes(damaged)
        assert read_trials(space, "k") == ()


def test_a_trial_stopped_at_a_smaller_budget_is_made_again():
    stopped = TrialPeak(
        settings={"block": 2},
        options={"n": 3},
        ram_bytes=98,
        is_whole=False,
        ram_budget_bytes=100,
    )
    assert known_peak([stopped], TRIAL, 100) is stopped
    assert known_peak([stopped], TRIAL, 101) is None
    assert known_peak([PEAK], TRIAL, 10**9) is PEAK


def test_settings_are_the_same_in_any_order():
    assert setting_key({"a": 1, "b": 2}) == setting_key({"b": 2, "a": 1})

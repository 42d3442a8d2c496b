from __future__ import annotations

import tracemalloc
from dataclasses import replace

import msgspec
import pytest

from lowmem.history.fold import history_of, history_of_job
from lowmem.history.job_history import JobHistory
from lowmem.protocol.messages import Cycle
from lowmem.protocol.recipe import recipe_changes
from lowmem.protocol.records import (
    AttemptBegun,
    CycleEnded,
    Incident,
    JobBegun,
    JobEnded,
    RunBegun,
    body_from_record,
    record_from_body,
)
from lowmem.protocol.tempo import Tempo

AT = "2026-11-22T10:00:00.000Z"


def begun(job="train", **recipe: object):
    return JobBegun(job=job, at=AT, reference=job, recipe=recipe, unit="rows")


def run(budget=100):
    return RunBegun(
        job="train",
        at=AT,
        seed=1,
        ram_budget_bytes=budget,
        vram_budget_bytes=None,
        time_budget_s=None,
    )


def attempt(number, job="train", **settings: int):
    return AttemptBegun(
        job=job,
        at=AT,
        attempt=number,
        device="cpu",
        next_cycle=0,
        settings=settings,
        versions={},
    )


def cycle(index, outcome="committed", **settings: int):
    return CycleEnded(
        job="train",
        at=AT,
        attempt=1,
        outcome=outcome,
        cycle=Cycle(
            index=index,
            items=1,
            started_at=AT,
            seconds=1.0,
            commit_seconds=0.1,
            settings=settings,
        ),
    )


def ended(state="done", published=("a",)):
    return JobEnded(job="train", at=AT, state=state, exit_code=0, published=published)


def test_the_tempo_is_that_of_the_last_cycle_that_was_committed():
    slow = cycle(1)
    slow = msgspec.structs.replace(
        slow, cycle=msgspec.structs.replace(slow.cycle, longest_step_seconds=7.0)
    )
    history = history_of_job(
        "train", [begun(), cycle(0), slow, cycle(2, "interrupted")]
    )
    assert history.tempo == Tempo(step_s=7.0, commit_s=0.1)
    # One that was written before steps were measured.
    history = history_of_job("train", [begun(), slow, cycle(2)])
    assert history.tempo == Tempo(step_s=0.0, commit_s=0.1)


def test_a_job_that_never_began_has_no_past():
    assert history_of_job("train", []) == JobHistory(job="train")
    other = [begun(job="encode", seed=1)]
    assert history_of_job("train", other) == JobHistory(job="train")
    assert history_of_job("train", []).recipe is None


def test_the_past_is_what_the_records_say_in_order():
    past = history_of_job(
        "train",
        [
            begun(seed=1),
            run(50),
            attempt(1, b=8),
            cycle(0, b=8),
            cycle(1, "interrupted", b=8),
        ],
    )
    assert past.recipe == {"seed": 1}
    assert (past.last_cycle, past.committed) == (0, (0,))
    assert past.last_attempt == past.n_workers == 1
    assert past.settings == {"b": 8}
    assert past.ram_budget_bytes == 50
    assert past.has_progress


def test_beginning_anew_forgets_everything_before():
    past = history_of_job("train", [begun(seed=1), cycle(4), ended(), begun(seed=2)])
    assert past == replace(history_of_job("train", [begun(seed=2)]), place=past.place)
    assert not past.has_progress


def test_beginning_to_do_more_keeps_the_commits_and_takes_back_the_end():
    more = msgspec.structs.replace(begun(rows=5), extents=("rows",))
    later = msgspec.structs.replace(attempt(2), next_cycle=1)
    records = [begun(rows=3), run(), attempt(1), cycle(0), cycle(1), ended(), more]
    past = history_of_job("train", records)
    assert not past.is_done
    assert (past.recipe, past.committed) == ({"rows": 5}, (0, 1))
    past = history_of_job("train", [*records, run(), later])
    assert past.committed == (0,)
    past = history_of([*records, later, cycle(1), ended()])
    assert [done.begun.recipe["rows"] for done in past.done] == [3, 5]
    assert past.of("train").is_done
    assert len(past.begun) == 1


def test_only_a_good_end_makes_a_job_done():
    assert history_of_job("train", [begun(), ended()]).is_done
    assert history_of_job("train", [begun(), ended()]).published == ("a",)
    assert not history_of_job("train", [begun(), ended("stopped")]).is_done


def test_other_jobs_change_nothing():
    alone = [begun(seed=1), attempt(1), cycle(0)]
    mixed = [
        begun(job="encode", seed=9),
        *alone,
        attempt(7, job="encode"),
    ]
    assert history_of_job("train", mixed) == history_of_job("train", alone)


def test_changes_of_a_recipe_name_old_and_new_values():
    assert recipe_changes({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == {
        "b": (2, 3),
        "c": (None, 4),
    }
    assert recipe_changes({"a": 1}, {"a": 1}) == {}
    assert recipe_changes({"a": 1}, {}) == {"a": (1, None)}


@pytest.mark.parametrize(
    "record",
    [
        begun(seed=1, path="/x", sizes=[1, 2]),
        run(),
        attempt(2, b=1),
        cycle(3),
        ended(),
        Incident(
            job="train",
            at=AT,
            attempt=1,
            verdict="crash",
            ram_bytes=None,
            where=None,
            action="ended",
        ),
    ],
    ids=lambda record: type(record).__name__,
)
def test_every_record_is_read_back_as_it_was_written(record):
    assert record_from_body(body_from_record(record)) == record


def test_a_record_of_no_known_form_is_refused():
    with pytest.raises(msgspec.ValidationError):
        record_from_body(b'{"type":"Nonsense"}')


def test_a_brief_past_takes_less_than_a_hundred_bytes_a_cycle():
    """The supervisor reads it before each worker, and has 2 MiB to spare."""
    n_cycles = 5000
    bodies = [body_from_record(cycle(index, b=8)) for index in range(n_cycles)]
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        past = history_of_job("train", map(record_from_body, bodies))
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert past.last_cycle == n_cycles - 1
    assert most - before < 100 * n_cycles

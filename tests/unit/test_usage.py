"""What was used, counted from journals: each figure by hand, from the story that is told."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from lowmem.history.fold import history_of
from lowmem.protocol.records import (
    CycleEnded,
    Machine,
    RunBegun,
    Spent,
    body_from_record,
    record_from_body,
)
from lowmem.report.accounting import json_from_usage, summed, usage_of
from lowmem.report.sitting_usage import sats_of as sats_of_history
from lowmem.report.usage_text import text_from_usage
from tests.report_examples import START, History, killed_and_retried

COLAB = Machine(name="3f1c", boot="b1", cores=2, ram_bytes=13 * 10**9)
LAPTOP = Machine(name="laptop", boot="b2", cores=8, ram_bytes=32 * 10**9)


def spent(cpu_s, n_bytes):
    return Spent(
        cpu_s=cpu_s,
        read_bytes=n_bytes,
        written_bytes=2 * n_bytes,
        disk_read_bytes=0,
        disk_written_bytes=3 * n_bytes,
    )


def sats_of(*histories, workspace="/w", is_live=False):
    records = [record for history in histories for record in history.records]
    return told(sorted(records, key=lambda r: r.at), workspace, is_live=is_live)


def told(records, workspace="/w", *, is_live=False):
    history = history_of(records, is_brief=True, has_sittings=True)
    return sats_of_history(history.sittings, workspace, is_live=is_live)


def usage(*histories, since=None, **options):
    return usage_of(sats_of(*histories, **options), since=since)


def begun(machine=COLAB, gpu="given", **options):
    return History(**options).begin().run(machine=machine, gpu=gpu)


def two_days() -> History:
    """Return a sitting from 23:00 to 01:00 that has a GPU from 23:10 to 00:40.

    Each `History` call lets a quarter of a second pass, taken off again here.
    """
    history = History(
        at=datetime(2026, 11, 22, 23, tzinfo=UTC) - timedelta(seconds=0.25)
    )
    history.begin().run(machine=COLAB, gpu="given")
    at(history, 23, 10).start(0, device="gpu", device_name="T4")
    at(history, 23, 50)
    history.cycle(0, seconds=0, spent=spent(100.0, 1000))
    at(history, 24, 40)
    history.cycle(1, seconds=0, spent=spent(10.0, 10))
    at(history, 24, 40).incident(is_gpu_lost=True, action="the GPU was lost")
    at(history, 24, 50).start(2)
    at(history, 25, 0).end(spent=spent(1.0, 1), machine=COLAB)
    return history


def at(history, hour, minute):
    history.at = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(
        hours=hour, minutes=minute
    )
    return history


def test_time_is_divided_at_midnight_and_what_was_spent_counts_where_it_was_told():
    found = usage(two_days())
    first, second = found.days
    assert (first.day, second.day) == ("2026-11-22", "2026-11-23")
    assert (first.used.seconds, second.used.seconds) == (3600, 3600)
    # From 23:10 to midnight, and from there to 00:40.
    assert (first.used.gpu_seconds, second.used.gpu_seconds) == (50 * 60, 40 * 60)
    assert (first.used.cpu_seconds, second.used.cpu_seconds) == (100.0, 11.0)
    assert (first.used.read_bytes, second.used.read_bytes) == (1000, 11)
    assert (first.used.written_bytes, second.used.written_bytes) == (2000, 22)
    assert second.used.disk_written_bytes == 33
    (one,) = found.sittings
    assert (one.gpu, one.gpus, one.ended) == ("lost", ("T4",), "done")
    assert one.used.gpu_seconds == 90 * 60
    assert one.machine == COLAB


def test_a_day_to_begin_with_cuts_what_was_before():
    found = usage(two_days(), since=date(2026, 11, 23))
    assert found.total.used.seconds == 3600
    assert found.total.used.cpu_seconds == 11.0
    assert [row.day for row in found.days] == ["2026-11-23"]
    assert found.sittings[0].used == found.total.used
    assert usage(two_days(), since=date(2026, 11, 24)).sittings == ()


def test_rows_of_days_and_jobs_and_sittings_have_the_same_sum():
    found = usage(two_days(), killed_and_retried(), begun(job="encode").start(0))
    assert len(found.sittings) == 4
    for rows in (found.jobs, found.days, found.sittings):
        assert summed(row.used for row in rows) == found.total.used
    assert [row.job for row in found.jobs] == ["train", "encode"]


@pytest.mark.parametrize(
    ("tell", "ended", "signal"),
    [
        (lambda h: h.start(0).end(machine=COLAB), "done", None),
        (
            lambda h: (
                h.start(0)
                .incident(verdict="signal", signal="SIGINT")
                .end("stopped", 75, stopped_for="signal", machine=COLAB)
            ),
            "signal",
            "SIGINT",
        ),
        # Stopped by somebody between two workers: no record but the end tells.
        (
            lambda h: h.end("stopped", 75, stopped_for="signal", machine=COLAB),
            "signal",
            None,
        ),
        (
            lambda h: h.end("stopped", 75, stopped_for="time", machine=COLAB),
            "deadline",
            None,
        ),
        (lambda h: h.end("refused", 73, machine=COLAB), "budget", None),
        (lambda h: h.start(0).end("failed", 70, machine=COLAB), "failed", None),
        (lambda h: h.end("stopped", 75, machine=COLAB), "stopped", None),
        (lambda h: h.start(0), "lost", None),
    ],
)
def test_a_sitting_tells_how_it_ended(tell, ended, signal):
    (one,) = usage(tell(begun())).sittings
    assert (one.ended, one.signal) == (ended, signal)


@pytest.mark.parametrize(
    ("verdict", "ended"), [("time", "deadline"), ("signal", "signal")]
)
def test_a_journal_of_before_tells_by_its_incidents_why_it_was_stopped(verdict, ended):
    history = History().begin().run().start(0).cycle(0)
    history.incident(verdict=verdict, where=None).end("stopped", 75)
    (one,) = usage(history).sittings
    assert one.ended == ended


def test_a_sitting_without_an_end_is_lost_unless_it_runs_now():
    history = begun().start(0).cycle(0).pause(60)
    history.run(machine=LAPTOP, gpu="absent").start(1).cycle(
        1, seconds=100.0, ram_start_bytes=None
    )
    assert [one.ended for one in usage(history).sittings] == ["lost", "lost"]
    now = usage(history, is_live=True).sittings
    assert [one.ended for one in now] == ["lost", "running"]
    # As far as its newest record tells: run, start and cycle.
    assert now[1].used.seconds == 0.25 + 0.25 + 100.0
    assert now[1].exit_code is None


def test_two_machines_and_the_gpus_that_they_had_or_had_not():
    history = begun().start(0, device="gpu", device_name="T4").cycle(0, seconds=30.0)
    history.incident().end("stopped", 75, stopped_for="time", machine=COLAB).pause(3600)
    history.run(machine=LAPTOP, gpu="absent").start(1).cycle(1).end(machine=LAPTOP)
    one, other = usage(history).sittings
    assert (one.machine, other.machine) == (COLAB, LAPTOP)
    assert (one.gpu, other.gpu) == ("given", "absent")
    # From the worker until its end: its own record takes 0.25 s, the cycle 30 and 0.25.
    assert (one.used.gpu_seconds, other.used.gpu_seconds) == (30.5, 0.0)


def test_a_demanded_gpu_that_was_not_there_is_a_sitting_by_its_end_alone():
    history = History().end("refused", 69, machine=LAPTOP, spent=spent(0.5, 7))
    (one,) = usage(history).sittings
    assert (one.ended, one.gpu, one.machine) == ("no_gpu", "absent", LAPTOP)
    assert one.used.cpu_seconds == 0.5
    assert "refused, no GPU was there" in text_from_usage(usage(history), ["/w"])


def test_what_an_old_journal_does_not_tell_is_null_and_never_nothing():
    found = usage(killed_and_retried())
    assert len(found.sittings) == 2
    for one in found.sittings:
        assert (one.machine, one.gpu) == (None, None)
        assert one.used.cpu_seconds is None
        assert one.used.written_bytes is None
        # Its device it does tell.
        assert one.used.gpu_seconds == 0.0
    assert found.total.unrecorded["cpu_seconds"] == 2
    assert "gpu_seconds" not in found.total.unrecorded
    text = text_from_usage(found, ["/w"])
    assert "CPU time of 2" in text
    document = json.loads(json_from_usage(found, ["/w"], None))
    assert document["total"]["used"]["cpu_seconds"] is None


def test_of_a_sum_it_is_told_of_how_many_sittings_it_is_not():
    history = History().begin().run().start(0).cycle(0).end().pause(60)
    history.begin().run(machine=COLAB, gpu="unasked").start(0)
    history.cycle(0, spent=spent(5.0, 10)).end(machine=COLAB)
    total = usage(history).total
    assert (total.n_sittings, total.used.cpu_seconds) == (2, 5.0)
    assert total.unrecorded["cpu_seconds"] == 1


def test_nobody_knows_which_gpu_a_program_takes():
    history = History(job="exec-x", reference="exec").begin()
    history.run(machine=COLAB).start(0).cycle(0, spent=spent(1.0, 1))
    history.end(machine=COLAB)
    (one,) = usage(history).sittings
    assert (one.gpu, one.used.gpu_seconds, one.used.cpu_seconds) == (None, None, 1.0)


def test_an_end_that_a_repair_wrote_is_no_word_of_the_supervisor():
    history = begun().start(0).cycle(0, seconds=10.0).pause(5 * 3600).end()
    (one,) = usage(history).sittings
    assert (one.ended, one.exit_code) == ("lost", None)
    assert one.used.seconds == 0.25 + 0.25 + 10.0
    # And one that wrote down that a checkpoint is lost has not sat there either.
    history = begun().start(0).cycle(0).end(machine=COLAB).pause(3600)
    history.cycle(0, outcome="rolled_back").end()
    assert len(usage(history).sittings) == 1


def test_a_repair_that_makes_results_again_is_a_sitting_from_its_worker_on():
    history = begun().start(0).cycle(0).end(machine=COLAB).pause(3600)
    history.start(0).cycle(0, seconds=20.0, spent=spent(2.0, 2)).end(
        machine=LAPTOP, spent=spent(1.0, 1)
    )
    _, again = usage(history).sittings
    assert (again.machine, again.ended, again.gpu) == (LAPTOP, "done", None)
    assert again.used.seconds == 0.25 + 20.0 + 0.25
    assert again.used.cpu_seconds == 3.0


def test_a_sitting_that_two_journals_tell_counts_once_as_the_fuller_tells_it():
    whole = begun().start(0).cycle(0, spent=spent(1.0, 1)).end(machine=COLAB)
    copy = History(records=whole.records[:-1], at=whole.at + timedelta(hours=1))
    copy.run(machine=LAPTOP, gpu="absent").start(1).cycle(1).end(machine=LAPTOP)
    for order in (1, -1):
        parts = [sats_of(whole, workspace="/a"), sats_of(copy, workspace="/b")][::order]
        found = usage_of([sat for part in parts for sat in part])
        assert [one.ended for one in found.sittings] == ["done", "done"]
        assert [one.workspace for one in found.sittings] == ["/a", "/b"]
        assert found.total.used.cpu_seconds == 1.0


@pytest.mark.parametrize("began", ["soon", "1970-01-01T00:00:00.000Z", "9999-12-31"])
def test_a_time_that_cannot_be_is_no_length(began):
    history = begun().start(0).cycle(0, spent=spent(1.0, 1)).end(machine=COLAB)
    first = history.records[1]
    assert isinstance(first, RunBegun)
    values = {name: getattr(first, name) for name in first.__struct_fields__}
    history.records[1] = RunBegun(**{**values, "at": began})
    found = usage_of(told(history.records))
    (one,) = found.sittings
    assert one.used.seconds is None
    assert one.used.cpu_seconds == 1.0
    assert found.total.unrecorded["seconds"] == 1
    assert "length not recorded" in text_from_usage(found, ["/w"])


@pytest.mark.parametrize("value", [-1.0, 1e300])
def test_a_figure_that_cannot_be_is_taken_for_none(value):
    history = begun().start(0).cycle(0, spent=Spent(cpu_s=value, read_bytes=-5))
    used = usage(history).total.used
    assert (used.cpu_seconds, used.read_bytes) == (None, None)


def long_story() -> list[History]:
    name = "a-job-with-quite-a-long-name-that-somebody-gave-it"
    machine = Machine(name="colab-runtime-of-a-very-long-name-0123456789")
    days = History(job=name, at=START).begin()
    for index in range(40):
        days.run(machine=machine, gpu="given")
        days.start(index, device="gpu", device_name="T4")
        days.cycle(
            index,
            seconds=(1 + index % 7) * 3000.0,
            ram_start_bytes=None,
            spent=spent(9e5, 10**13),
        )
        days.incident(verdict="signal", signal="SIGTERM")
        days.end("stopped", 75, stopped_for="signal", machine=machine).pause(20 * 3600)
    return [days, two_days(), killed_and_retried()]


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("workspace", ["/w", "/content/drive/" + "long/" * 20])
def test_the_text_fits_the_terminal(width, workspace):
    found = usage(*long_story(), workspace=workspace)
    lines = text_from_usage(found, [workspace], width=width).splitlines()
    # A path is not broken: it is there to be copied.
    told = [line for line in lines if line.strip() != workspace]
    assert max(map(len, told)) <= min(max(width, 40), 100)
    for name in ("GPU h", "CPU h", "hours", "read", "written", "sittings"):
        assert any(name in line for line in lines), name
    assert any("lost without a word" in line for line in lines) == any(
        one.ended == "lost" for one in found.sittings
    )


@pytest.mark.parametrize("width", [40, 80])
def test_the_longest_bar_is_that_of_the_largest_day(width):
    found = usage(*long_story())
    lines = text_from_usage(found, ["/w"], width=width).splitlines()
    chart = lines[lines.index("GPU hours by day") + 1 :]
    chart = [line.split() for line in chart[: chart.index("")] if "#" in line]
    bars = {day: (len(bar), float(number)) for day, bar, number in chart}
    largest = max(number for _, number in bars.values())
    longest = max(length for length, _ in bars.values())
    assert longest > 15
    for length, number in bars.values():
        assert abs(length - longest * number / largest) <= 1.1


def test_a_text_of_nothing_says_so():
    assert "Nothing has run here" in text_from_usage(usage(), ["/w"])


def test_names_cannot_steer_the_terminal():
    machine = Machine(name="\x1b[31mred\nline")
    history = begun(machine=machine, job="x\x1b[2J").start(0).cycle(0)
    text = text_from_usage(usage(history, workspace="/w\x1b]0;t\x07"), ["/w\x1b[2J"])
    assert "\x1b" not in text
    assert "\x07" not in text


def test_a_sample_of_a_journal_from_before_is_counted():
    from lowmem.base.workspace import Workspace
    from lowmem.history.recorded import read_records
    from lowmem.report.read import read_sats

    sample = Path(__file__).parents[1] / "samples" / "format-1" / "workspace"
    space = Workspace.at(sample)
    n_runs = sum(isinstance(r, RunBegun) for r in read_records(space.journal))
    cycles = [r for r in read_records(space.journal) if isinstance(r, CycleEnded)]
    assert n_runs
    assert cycles
    found = usage_of(read_sats(space, is_live=False))
    assert found.total.n_sittings == n_runs
    assert found.total.used.cpu_seconds is None
    assert found.total.used.seconds >= sum(cycle.cycle.seconds for cycle in cycles)


@pytest.mark.parametrize(
    "part",
    [
        {"machine": {"name": "x", "ram_bytes": 2**63}},
        {"spent": {"written_bytes": 2**63}},
    ],
)
def test_a_count_that_nothing_here_can_have_is_damage(part):
    end = History().end().records[0]
    whole = json.loads(body_from_record(end))
    with pytest.raises(msgspec.ValidationError, match="63 bits"):
        record_from_body(json.dumps({**whole, **part}).encode())


def test_a_record_of_before_is_read_and_one_of_later_too():
    end = json.loads(body_from_record(History().end().records[0]))
    for name in ("spent", "machine", "stopped_for"):
        assert end.pop(name) is None
    assert record_from_body(json.dumps(end).encode()).machine is None
    later = record_from_body(json.dumps({**end, "a_field_of_later": 1}).encode())
    assert later.state == "done"


def test_thousands_of_sittings_cost_no_more_than_as_many_times_one():
    history = History().begin()
    for _ in range(3000):
        history.run(machine=COLAB, gpu="unasked")
        history.end("stopped", 75, stopped_for="time", machine=COLAB).pause(86400)
    found = usage(history)
    assert len(found.days) == len(found.sittings) == 3000
    text = text_from_usage(found, ["/w"], width=40)
    assert "2988 sittings before" in text.replace(",", "")

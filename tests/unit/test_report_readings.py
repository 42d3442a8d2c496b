"""From readings to a curve: nothing high is lost, pauses take no room."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.base.workspace import Workspace
from lowmem.report.charts import curve_charts
from lowmem.report.read import read_report
from lowmem.report.readings import Point, TelemetryReading, read_telemetry, thin
from lowmem.report.scales import HEIGHT, MemoryScale, time_ticks
from lowmem.report.timeline import PAUSE_S, timeline_from_readings
from tests.report_examples import MIB, START, killed_and_retried, write_journal

LINE = (
    b'{"at":"2026-11-22T10:00:00.000Z","attempt":1,"ram_bytes":%d,"vram_bytes":null}\n'
)


def at(second: float, attempt: int = 1) -> TelemetryReading:
    return TelemetryReading(
        at=START + timedelta(seconds=second), attempt=attempt, ram_bytes=1
    )


def test_a_job_without_telemetry_has_no_readings(tmp_path):
    assert list(read_telemetry(tmp_path / "absent.jsonl")) == []


@pytest.mark.parametrize(
    "damage",
    [
        LINE[:30],
        LINE[:30] + b"\n",
        b"\xff\n",
        LINE.replace(b"Z", b"") % 2,
        LINE.replace(b"%d", b"null"),
        b"\n",
    ],
)
def test_a_line_that_cannot_be_read_costs_only_itself(tmp_path, damage):
    path = tmp_path / "telemetry.jsonl"
    path.write_bytes(LINE % 1 + damage + (LINE % 3 if damage.endswith(b"\n") else b""))
    values = [reading.ram_bytes for reading in read_telemetry(path)]
    assert values == ([1, 3] if damage.endswith(b"\n") else [1])


@given(
    values=st.lists(st.integers(0, 10**10), min_size=1, max_size=300),
    at_most=st.integers(1, 50),
)
def test_thinning_keeps_the_highest_point_and_the_order(values, at_most):
    points = [Point(float(second), 0, value) for second, value in enumerate(values)]
    kept = thin(points, at_most=at_most)
    assert len(kept) <= at_most or len(values) <= at_most
    assert max(point.n_bytes for point in kept) == max(values)
    assert [point for point in points if point in set(kept)] == kept


def test_a_day_of_readings_becomes_2000_points_at_most():
    points = [Point(float(second), 0, second % 977) for second in range(86400)]
    assert len(thin(points, at_most=2000)) == 2000


def test_a_night_between_two_runs_takes_five_seconds_on_the_chart():
    line = timeline_from_readings([at(0), at(1), at(30000, attempt=2), at(30001, 2)])
    assert line.elapsed_s == (0.0, 1.0, 1.0 + PAUSE_S, 2.0 + PAUSE_S)
    assert line.stretches == (0, 0, 1, 1)


def test_a_new_attempt_is_a_new_stretch_even_without_a_pause():
    assert timeline_from_readings([at(0), at(1, attempt=2)]).stretches == (0, 1)


@pytest.mark.parametrize(
    ("second", "elapsed"),
    [(-5, 0.0), (0, 0.0), (0.5, 0.5), (15000, 6.0), (30000.5, 6.5), (99999, 7.0)],
)
def test_any_moment_has_its_place_between_the_readings_around_it(second, elapsed):
    line = timeline_from_readings([at(0), at(1), at(30000), at(30001)])
    assert line.elapsed_at(START + timedelta(seconds=second)) == elapsed


DAY = 86400


def test_readings_after_a_clock_was_set_back_come_after_those_before():
    line = timeline_from_readings([at(0), at(1), at(2 - DAY), at(3 - DAY)])
    assert line.elapsed_s == (0.0, 1.0, 1.0, 2.0)
    assert line.stretches == (0, 0, 1, 1)
    for second, elapsed in ((0.5, 0.5), (2.5 - DAY, 1.5), (3 - DAY, 2.0)):
        assert line.elapsed_at(START + timedelta(seconds=second)) == elapsed


def test_the_curve_of_memory_follows_the_order_in_which_it_was_read(tmp_path):
    space = Workspace.at(tmp_path)
    write_journal(space, killed_and_retried())
    (job,) = read_report(space, is_live=False).jobs.values()
    moments = [9000, 9001, 9002 - 3600, 9003 - 3600]
    readings = [
        TelemetryReading(at=at(second).at, attempt=1, ram_bytes=n_mib * MIB)
        for second, n_mib in zip(moments, (10, 20, 30, 40), strict=True)
    ]
    (chart,) = curve_charts("train", job, readings)
    heights = [
        float(pair.split()[1]) for pair in re.findall(r"[\d.]+ [\d.]+", chart.line)
    ]
    assert len(heights) >= len(readings)
    assert heights == sorted(heights, reverse=True)


def test_a_timeline_of_nothing_places_everything_at_its_start():
    assert timeline_from_readings([]).elapsed_at(START) == 0.0


@given(peak=st.integers(0, 10**12), budget=st.none() | st.integers(1, 10**12))
def test_every_peak_lies_within_its_scale_with_few_ticks(peak, budget):
    scale = MemoryScale.of(peak, budget)
    assert 0 <= scale.y(peak) <= HEIGHT
    assert 1 <= len(scale.ticks) <= 6
    assert all(0 <= tick.percent <= 100 for tick in scale.ticks)
    if budget is not None and scale.is_budget_shown:
        assert 0 <= scale.y(budget) <= HEIGHT


def test_a_budget_is_on_the_scale_unless_it_is_far_above():
    assert MemoryScale.of(900 * MIB, 1000 * MIB).is_budget_shown
    assert MemoryScale.of(1100 * MIB, 1000 * MIB).is_budget_shown
    assert not MemoryScale.of(10 * MIB, 1000 * MIB).is_budget_shown


@given(total_s=st.floats(1, 10**7))
def test_a_time_axis_of_any_length_has_few_ticks(total_s):
    ticks = time_ticks(total_s)
    assert 1 <= len(ticks) <= 6
    assert all(0 <= tick.percent <= 100 for tick in ticks)

"""What a run tells of itself: to whoever stops it, and to whoever looks from elsewhere."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from lowmem.base.clock import timestamp
from lowmem.base.workspace import Workspace
from lowmem.report.live_line import LiveState
from lowmem.report.live_status import read_standings
from lowmem.report.readings import read_telemetry
from lowmem.report.schema import Report
from lowmem.report.status import json_from_statuses, text_from_statuses
from lowmem.report.view import report_from_records
from lowmem.supervisor.background import BackgroundThread
from lowmem.supervisor.progress import Progress
from lowmem.supervisor.stop_requests import Heard
from lowmem.supervisor.telemetry import Telemetry
from lowmem.supervisor.user_messages import told_of_stop
from tests.report_examples import START, History

GIB = 2**30
MADE_UP = (
    b'{"at":"2026-11-22T10:00:00.000Z","attempt":1,"ram_bytes":1,'
    b'"now":{"done":%s,"total":1,"elapsed_s":%s}}\n'
)
HALF = LiveState(job="train", unit="images", done=50, total=100)


class StoppedClock:
    """A clock that stands where a test sets it."""

    at_s = 0.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.at_s)

    def monotonic(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds


@pytest.mark.parametrize(
    ("heard", "n_committed", "since_s", "told"),
    [
        (
            Heard(count=1, demands=1, by="SIGINT"),
            3,
            12.0,
            (
                "Ctrl-C: stopping at the next commit, which keeps all; so far 3 cycles are "
                "committed, 50 % are done. A second Ctrl-C stops at once; the 12.0 s of work "
                "since the last commit are lost"
            ),
        ),
        (
            Heard(count=1, demands=1, by="SIGTERM"),
            0,
            2.0,
            (
                "SIGTERM: stopping at the next commit, which keeps all; so far nothing is "
                "committed yet, 50 % are done. A second SIGTERM stops at once; the 2.0 s of "
                "work since its beginning are lost"
            ),
        ),
        (
            Heard(count=1, demands=1, by="SIGHUP"),
            1,
            None,
            (
                "SIGHUP: stopping at the next commit, which keeps all; so far 1 cycle is "
                "committed, 50 % are done. A second SIGHUP stops at once; nothing is lost, "
                "since the worker is only starting"
            ),
        ),
        (
            Heard(count=1, by="SIGUSR1"),
            1,
            2.0,
            (
                "SIGUSR1: stopping at the next commit, which keeps all; so far 1 cycle is "
                "committed, 50 % are done"
            ),
        ),
        (
            Heard(count=2, demands=2, by="SIGINT"),
            3,
            12.0,
            (
                "Ctrl-C again: stopping at once; the 12.0 s of work since the last commit are "
                "lost"
            ),
        ),
    ],
)
def test_who_stops_a_run_is_told_what_is_kept_and_what_a_second_signal_costs(
    heard, n_committed, since_s, told
):
    assert told == told_of_stop(
        heard, HALF, n_committed=n_committed, since_commit_s=since_s
    )


def written(space: Workspace, clock: StoppedClock, *, seconds: float) -> None:
    """Write the telemetry of a worker that has a reading every tenth of a second."""
    progress = Progress(
        job="train", unit="images", ram_budget_bytes=2 * GIB, cycle=4, began_s=0.0
    )
    with (
        BackgroundThread() as background,
        Telemetry(space, 1, clock, background, progress) as telemetry,
    ):
        for tenth in range(int(10 * seconds)):
            clock.at_s = tenth / 10
            progress.used(GIB + tenth)
            progress.moved(10 * tenth, 10_000, "epoch 1/2, loss 0.50000", clock.at_s)
            telemetry.add(GIB + tenth, None)
            assert background.wait(30.0)


def report(*, is_live: bool = True) -> Report:
    """Return the report of a run that has committed nothing yet."""
    records = History().begin().run(ram_budget_bytes=4 * GIB).records
    return report_from_records("w", records, is_live=is_live)


def test_a_short_job_has_many_readings_and_a_long_one_still_one_a_second(tmp_path):
    space, clock = Workspace.at(tmp_path), StoppedClock()
    written(space, clock, seconds=2.0)
    assert len(list(read_telemetry(space.telemetry("train")))) >= 15
    space.telemetry("train").unlink()
    written(space, clock, seconds=90.0)
    readings = list(read_telemetry(space.telemetry("train")))
    late = [r for r in readings if r.at >= START + timedelta(seconds=30)]
    assert len(late) <= 62
    assert len(readings) <= 180
    # Of each moment the largest: none is left out.
    assert readings[-1].ram_bytes == GIB + 899


def test_status_of_a_run_says_how_far_it_is_when_it_ends_and_what_it_uses_now(tmp_path):
    space, clock = Workspace.at(tmp_path), StoppedClock()
    written(space, clock, seconds=50.0)
    standings = read_standings(space, report(), clock.now())
    text = " ".join(text_from_statuses(report(), standings).split())
    # 4,990 of 10,000 at 100 a second.
    assert "train now: 50 %, RAM 1.0/4.0 GiB, peak 1.00 GiB, loss 0.50000" in text
    assert "50 s left, epoch 1/2, 100 images/s, cycle 4, 4,990/10,000" in text
    assert "not measured" not in text
    assert "not measured" in text_from_statuses(report())
    now = json.loads(json_from_statuses(report(), standings))["jobs"]["train"]["now"]
    assert now["percent"] == 49.9
    assert now["left_s"] == pytest.approx(50.1, abs=0.5)
    assert now["ram_bytes"] == now["ram_peak_bytes"] == GIB + 499


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\n",
        b'{"at":"2026-11-22T10:00:00.000Z","attempt":1,"ram_bytes":1}\n',
        b"[" * 9000,
        MADE_UP % (b"9" * 400, b"1"),
        MADE_UP % (b"-1", b"1"),
        MADE_UP % (b"1", b"1e308"),
    ],
)
def test_nothing_is_told_of_now_where_the_file_tells_nothing(tmp_path, damage):
    space = Workspace.at(tmp_path)
    assert read_standings(space, report(), START) == {}
    path = space.telemetry("train")
    path.parent.mkdir(parents=True)
    path.write_bytes(damage)
    assert read_standings(space, report(), START) == {}


def test_what_was_told_long_ago_or_of_a_job_that_ended_is_not_told_as_now(tmp_path):
    space, clock = Workspace.at(tmp_path), StoppedClock()
    written(space, clock, seconds=5.0)
    at = clock.now()
    assert read_standings(space, report(), at)
    late = at + timedelta(seconds=60)
    assert read_standings(space, report(), late) == {}
    assert read_standings(space, report(is_live=False), at) == {}
    # A torn last line costs only itself.
    with space.telemetry("train").open("ab") as stream:
        stream.write(b'{"at":"' + timestamp(at).encode())
    assert read_standings(space, report(), at)

"""Without a terminal a run is told in lines: one an epoch, one a minute, none if quiet."""

from __future__ import annotations

import io
import os
from datetime import UTC, datetime

from lowmem.protocol.messages import answer_from_line
from lowmem.supervisor.progress import Progress
from lowmem.supervisor.screen import Screen
from lowmem.worker.channel import Channel

GIB = 2**30


class StoppedClock:
    """A clock that stands where a test sets it."""

    at_s = 100.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.at_s, UTC)

    def monotonic(self) -> float:
        return self.at_s

    def sleep(self, seconds: float) -> None:
        self.at_s += seconds


def trained(*, is_quiet: bool = False) -> None:
    """Show a training of two epochs of a minute and a half each."""
    clock = StoppedClock()
    progress = Progress(job="train", unit="images", ram_budget_bytes=8 * GIB)
    with Screen(progress=progress, clock=clock, is_quiet=is_quiet) as screen:
        screen.begin()
        progress.cycle = 0
        for step in range(1, 181):
            clock.sleep(1.0)
            epoch = 1 + (step - 1) // 90
            progress.used(GIB + step)
            screen.moved(10 * step, 1800, f"epoch {epoch}/2, loss {1 / step:.5f}")
            screen.tick()


def test_a_log_has_a_line_a_minute_one_an_epoch_and_one_at_the_end(capsys):
    trained()
    told = capsys.readouterr().err
    assert "\r" not in told
    lines = told.splitlines()
    assert lines[0] == "train: starting"
    assert [line.split(",")[0] for line in lines[1:]] == [
        "train: 33 %",
        "train: 50 %",
        "train: 84 %",
        "train: 100 %",
    ]
    # An epoch is told with what it came to, not with what the next begins with.
    assert "epoch 1/2" in lines[2]
    assert "loss 0.01111" in lines[2]
    assert "RAM 1.0/8.0 GiB" in lines[2]
    # At the end the worker has gone, and its peak has not.
    assert "RAM peak 1.00 GiB" in lines[4]


def test_a_quiet_run_is_not_told(capsys):
    trained(is_quiet=True)
    assert capsys.readouterr().err == ""


def test_epochs_shorter_than_a_second_do_not_fill_a_log(capsys):
    clock, n_epochs = StoppedClock(), 100
    progress = Progress(job="train", unit="images", ram_budget_bytes=8 * GIB, cycle=0)
    with Screen(progress=progress, clock=clock) as screen:
        screen.begin()
        for epoch in range(n_epochs):
            clock.sleep(0.05)
            screen.moved(epoch, n_epochs, f"epoch {epoch}/{n_epochs}")
    assert 2 <= len(capsys.readouterr().err.splitlines()) <= 8


def test_what_a_whole_epoch_came_to_is_sent_however_soon_the_next_one_moves():
    clock, (reads, writes) = StoppedClock(), os.pipe()
    channel = Channel(io.BytesIO(), writes, clock)
    for step in range(200):
        clock.sleep(0.05)
        channel.show_progress(step, 200, f"epoch {1 + step // 50}/4, loss {step}")
    os.close(writes)
    with os.fdopen(reads, "rb") as stream:
        sent = [answer_from_line(line).done for line in stream]
    assert sent == sorted(set(sent))
    # Ten seconds: one a second, and the last step of each epoch.
    assert {49, 99, 149} < set(sent)
    assert len(sent) <= 10 + 3 + 1


def test_a_line_is_drawn_twice_a_second_for_a_minute_and_once_afterwards():
    clock = StoppedClock()
    progress = Progress(job="train", unit="images", ram_budget_bytes=8 * GIB)
    with Screen(progress=progress, clock=clock, is_quiet=True) as screen:
        screen.begin()
        waits = []
        while clock.at_s < 100.0 + 120.0:
            waits.append(screen.redraw_s)
            clock.sleep(screen.redraw_s)
    assert waits == [0.5] * 120 + [1.0] * 60

"""One line says where a job stands: at any width, with what matters most kept longest."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from dataclasses import replace

import pytest

from lowmem.report.live_line import LiveState, line_of, text_of, width_of
from lowmem.supervisor.progress import Progress, Rate
from lowmem.supervisor.screen import Line

GIB = 2**30
TRAINING = LiveState(
    job="train",
    unit="images",
    elapsed_s=31.0,
    cycle=7,
    done=4500,
    total=10_000,
    rate=351.2,
    note="epoch 2/5, loss 0.01234, val_loss 0.01300",
    ram_bytes=int(1.2 * GIB),
    ram_peak_bytes=int(1.31 * GIB),
    ram_budget_bytes=12 * GIB,
)
ON_A_GPU = replace(
    TRAINING, vram_bytes=3 * GIB, vram_peak_bytes=4 * GIB, vram_budget_bytes=14 * GIB
)
STARTING = LiveState(
    job="train",
    unit="images",
    phase="starting",
    elapsed_s=8.24,
    ram_bytes=200 * 2**20,
    ram_peak_bytes=210 * 2**20,
    ram_budget_bytes=800 * 2**20,
)

GOLDEN = {
    (TRAINING, 40): "train 45%  RAM 1.2/12.0G  loss 0.01234",
    (TRAINING, 80): (
        "train 45%  ███░░░░░  RAM 1.2/12.0 GiB  loss 0.01234  val_loss 0.01300  16 s left"
    ),
    (TRAINING, 200): (
        "train 45%  ██████████████████░░░░░░░░░░░░░░░░░░░░░░  RAM 1.2/12.0 GiB  "
        "[█▌░░░░░░░░░░░░] 10 %  peak 1.31 GiB  loss 0.01234  val_loss 0.01300  "
        "16 s left  epoch 2/5  351 images/s  cycle 7  4,500/10,000"
    ),
    (ON_A_GPU, 40): "train 45%  RAM 1.2/12.0G  loss 0.01234",
    (ON_A_GPU, 80): (
        "train 45%  RAM 1.2/12.0 GiB  VRAM 3.0/14.0 GiB  loss 0.01234  val_loss 0.01300"
    ),
    (ON_A_GPU, 200): (
        "train 45%  ███░░░░░  RAM 1.2/12.0 GiB  [█▌░░░░░░░░░░░░] 10 %  "
        "peak 1.31 GiB  VRAM 3.0/14.0 GiB  peak 4.00 GiB  loss 0.01234  "
        "val_loss 0.01300  16 s left  epoch 2/5  351 images/s  cycle 7  4,500/10,000"
    ),
    (replace(TRAINING, ram_bytes=38 * 2**20), 40): (
        "train 45%  RAM 38M/12.0G  loss 0.01234"
    ),
    (STARTING, 40): "train starting, 8.2 s  RAM 200/800M",
    (STARTING, 80): (
        "train starting, 8.2 s  RAM 200/800 MiB  [███▌░░░░░░░░░░] 25 %  peak 210.0 MiB"
    ),
}


@pytest.mark.parametrize(("standing", "columns"), GOLDEN)
def test_the_line_at_40_80_and_200_columns_is_this(standing, columns):
    assert line_of(standing, columns) == GOLDEN[standing, columns]


@pytest.mark.parametrize(
    "standing",
    [
        TRAINING,
        ON_A_GPU,
        STARTING,
        replace(TRAINING, job="a-job-with-a-very-long-name-indeed"),
        replace(TRAINING, note="画像を処理しています, " * 20, unit="画像"),
        replace(TRAINING, total=None),
        replace(TRAINING, total=0, rate=0.0),
        replace(TRAINING, done=2**62, total=1, rate=1e-300),
        replace(TRAINING, ram_budget_bytes=None, ram_peak_bytes=None),
        replace(TRAINING, note="\x1b[31mred\n" * 9),
    ],
)
def test_no_line_is_wider_than_its_terminal_and_none_steers_it(standing):
    for columns in range(1, 260):
        line = line_of(standing, columns, is_ascii=True)
        wide = sum(2 if character >= "　" else 1 for character in line)
        assert wide <= columns
        assert line.isprintable()
    assert text_of(standing).isprintable()


@pytest.mark.parametrize("columns", range(40, 220))
def test_memory_and_loss_are_there_from_40_columns_on(columns):
    line = line_of(TRAINING, columns)
    assert "RAM 1.2/12.0" in line
    assert "loss 0.01234" in line


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("abc", 3), ("█░▌", 3), ("模型 50%", 8), ("e\u0301t\u0301e", 3)],
)
def test_the_width_of_a_text_is_that_of_its_characters(text, columns):
    assert width_of(text) == columns


def test_a_terminal_without_unicode_gets_none():
    line = line_of(TRAINING, 200, is_ascii=True)
    assert line.isascii()
    assert "##################----------------------  RAM" in line


@pytest.mark.parametrize(
    ("told", "columns", "last_word"),
    # Some programs' terminals tell no width at all.
    [
        (0, 79, "left"),
        (40, 39, "0.01234"),
        (80, 79, "left"),
        (200, 199, "4,500/10,000"),
    ],
)
def test_a_terminal_gets_a_line_of_its_width_also_one_that_tells_none(
    monkeypatch, told, columns, last_word
):
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, told, 0, 0))
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        line = Line(TRAINING)
        line.refresh()
        drawn = [part.rstrip() for part in os.read(ours, 65536).decode().split("\r")]
        line.close()
    os.close(ours)
    assert max(map(len, drawn)) <= columns
    assert drawn[-1] == line_of(TRAINING, columns)
    assert drawn[-1].startswith("train 45%")
    assert drawn[-1].endswith(last_word)


def drawn_at(monkeypatch, *sizes: tuple[int, int]) -> list[str]:
    """Draw once for each size, rows and columns, of one terminal; return what it got."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        for number, (rows, columns) in enumerate(sizes):
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
            if number == 0:
                line = Line(TRAINING)
            line.refresh()
        line.close()
        got = b""
        # What was written comes in parts; the line's end is the last of it.
        while not got.endswith(b"\n"):
            got += os.read(ours, 65536)
    drawn = got.decode().rstrip("\r\n").split("\r")
    os.close(ours)
    return drawn


@pytest.mark.parametrize("rows", [0, 1, 2, 24])
@pytest.mark.parametrize("columns", [0, 80])
def test_a_terminal_of_any_height_is_drawn_on_also_one_that_tells_none(
    monkeypatch, rows, columns
):
    drawn = drawn_at(monkeypatch, (rows, columns))
    assert drawn[-1].startswith("train 45%")
    assert "loss 0.01234" in drawn[-1]


def test_a_terminal_that_was_made_narrower_gets_no_blank_beyond_its_width(monkeypatch):
    drawn = drawn_at(monkeypatch, (24, 200), (24, 40))
    # Two for the width it has now: the second when the line was closed.
    assert len(drawn[-3].rstrip()) > 150
    assert drawn[-2].rstrip() == line_of(TRAINING, 39)
    assert max(map(len, drawn[-2:])) <= 39


def test_what_is_not_known_is_not_shown():
    bare = LiveState(job="train", unit="images", phase="starting")
    assert line_of(bare, 80) == "train starting, 0.00 s"
    assert text_of(replace(bare, phase="", done=1200)) == "1,200 images"
    # At the end nothing is left, and a rate without end foresees nothing.
    assert "left" not in line_of(replace(TRAINING, done=10_000), 200)
    assert "left" not in line_of(replace(TRAINING, rate=1e-9), 200)


def test_a_log_has_all_of_it():
    assert text_of(ON_A_GPU) == (
        "45 %, RAM 1.2/12.0 GiB, peak 1.31 GiB, VRAM 3.0/14.0 GiB, peak 4.00 GiB, "
        "loss 0.01234, val_loss 0.01300, 16 s left, epoch 2/5, 351 images/s, cycle 7, "
        "4,500/10,000"
    )


def test_the_rate_is_that_of_the_last_two_minutes_pauses_included():
    rate = Rate()
    assert rate.now(0.0) is None
    for second in range(0, 601, 2):
        rate.moved(10 * second, float(second))
    assert rate.now(600.0) == pytest.approx(10.0)
    # Nothing came for two minutes: half of it.
    assert rate.now(720.0) == pytest.approx(5.0, rel=0.02)
    # What was lost is done again: no rate is negative.
    rate.moved(5990, 721.0)
    assert rate.now(722.0) is None
    rate.moved(6000, 723.0)
    assert rate.now(723.0) == pytest.approx(5.0)


def test_many_moves_within_a_second_keep_few_points():
    rate = Rate()
    for step in range(100_000):
        rate.moved(step, step / 1000)
    assert rate.now(100.0) == pytest.approx(1000, rel=0.01)
    assert len(rate._points) < 130


def test_progress_keeps_the_peak_and_says_starting_until_the_worker_is_ready():
    progress = Progress(job="j", unit="rows", ram_budget_bytes=100, began_s=5.0)
    progress.used(70)
    progress.used(30)
    progress.used_of_device(9)
    progress.used_of_device(4)
    now = progress.standing(8.0)
    assert (now.phase, now.elapsed_s, now.done) == ("starting", 3.0, None)
    assert (now.ram_bytes, now.ram_peak_bytes) == (30, 70)
    assert (now.vram_bytes, now.vram_peak_bytes) == (4, 9)
    progress.cycle = 0
    assert progress.standing(9.0).phase == "running"
    progress.moved(3, 6, "epoch 1/2", 9.0)
    now = progress.standing(9.0)
    assert (now.phase, now.fraction, now.epoch) == ("", 0.5, "epoch 1/2")

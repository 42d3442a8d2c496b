"""What drawing the line of a running job costs: `python benchmarks/budgets.py drawing`."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_WIDTHS = (40, 80, 200)
_DRAWINGS = 600
_ROUNDS = 5


def run_drawing(options: argparse.Namespace, _: Path) -> None:
    """Print processor time of wording a line, and of drawing it, here and elsewhere.

    `--against CHECKOUT` is another lowmem; the two take turns, and the least of five counts:
    other programs only ever add to it.
    """
    places = {"here": Path(__file__).parents[1]}
    if options.against:
        places["against"] = Path(options.against).resolve()
    print(f"{'columns':>8}  {'lowmem':<8}{'words ms':>10}{'all ms':>8}")
    for columns in _WIDTHS:
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
        for _round in range(_ROUNDS):
            for name, place in places.items():
                found[name].append(_measured(place, columns))
        for name, rounds in found.items():
            words, whole = (min(part) for part in zip(*rounds, strict=True))
            print(f"{columns:>8}  {name:<8}{words:>10.3f}{whole:>8.3f}")


def _measured(place: Path, columns: int) -> tuple[float, float]:
    line = [sys.executable, __file__, str(columns)]
    env = {**os.environ, "PYTHONPATH": f"{place}:{place / 'jobs'}"}
    told = subprocess.run(line, check=True, stdout=subprocess.PIPE, env=env, text=True)
    words, whole = map(float, told.stdout.split())
    return words, whole


def _measure(columns: int) -> None:
    """Print milliseconds of processor of one line, without and with a terminal."""
    from lowmem.base.clock import SystemClock
    from lowmem.report.live_line import line_of
    from lowmem.supervisor.progress import Progress
    from lowmem.supervisor.screen import Screen

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    sys.stderr = os.fdopen(theirs, "w", encoding="utf-8")
    clock = SystemClock()
    progress = Progress(job="train", unit="images", ram_budget_bytes=2**31, cycle=1)
    screen = Screen(progress=progress, clock=clock)
    screen.begin()

    def cost_ms(show: Callable[[], object]) -> float:
        # Of the thread: the other stands for a terminal's own process.
        began = time.thread_time()
        for n in range(_DRAWINGS):
            progress.used(700 * 2**20 + n % 50 * 36_864)
            note = f"epoch {n // 100}/100, loss 0.{12_345 + n}, val_loss 0.13{n % 7}00"
            screen.moved(n * 3, 100_000, note)
            show()
        return 1000 * (time.thread_time() - began) / _DRAWINGS

    words = cost_ms(lambda: line_of(progress.standing(clock.monotonic()), columns - 1))
    print(f"{words:.4f} {cost_ms(screen.tick):.4f}")


def _drain(descriptor: int) -> None:
    with suppress(OSError):
        while os.read(descriptor, 65536):
            pass


if __name__ == "__main__":
    _measure(int(sys.argv[1]))

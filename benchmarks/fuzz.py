"""Bytes from outside, spoilt at random, into every parser of them: inputs tried, faults found.

    python benchmarks/fuzz.py --minutes 10
    python benchmarks/fuzz.py --minutes 1 --only tar zip --seed 7

Each parser gets its share of the time, in a process of its own with 2 GiB of private
memory. A fault is anything but an answer, or an error of bad data or wrong usage (exit
code 65 or 2): another exception, lack of memory, more than 5 s, or the process's end. The
inputs with faults are printed as Python bytes, the shortest that was found for each.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fuzzed import Parser, fault, parsers, spoilt

if TYPE_CHECKING:
    from types import FrameType

LONGEST_S = 5
MOST_BYTES = 2 * 2**30
# Examples of one run of hypothesis, which remembers all that it has tried.
AT_ONCE = 2_000


class TooLongError(Exception):
    """A parser took longer than any may."""


class OverError(KeyboardInterrupt):
    """The time is over; what hypothesis lets through."""


class Tally:
    """What one parser was given, and what it made of it."""

    def __init__(self) -> None:
        self.n_tried = 0
        self.faults: dict[str, bytes] = {}
        self.times: Counter[str] = Counter()

    def note(self, error: BaseException, data: bytes) -> None:
        """Keep a fault, by the place where it was raised, with its shortest input."""
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        self.times[place] += 1
        if len(data) <= len(self.faults.get(place, data)):
            self.faults[place] = data


def fuzzed(parser: Parser, *, until: float, seed: int, folder: Path) -> Tally:
    """Give a parser spoilt input until the time is over."""
    tally = Tally()
    signal.signal(signal.SIGALRM, _too_long)
    while time.monotonic() < until:
        seed += 1

        @seeded(seed)
        @settings(
            max_examples=AT_ONCE,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(data=spoilt(parser))
        def attempt(data: bytes) -> None:
            if time.monotonic() > until:
                raise OverError
            place = folder / str(tally.n_tried % 2)
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            tally.n_tried += 1
            signal.alarm(LONGEST_S)
            try:
                error = fault(parser, data, place)
            finally:
                signal.alarm(0)
            if error is not None:
                tally.note(error, data)

        with contextlib.suppress(OverError):
            attempt()
    return tally


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TooLongError


def main() -> None:
    """Print a table, and leave with 1 if there was a fault."""
    words = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    words.add_argument("--minutes", type=float, default=10.0)
    words.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    words.add_argument("--only", nargs="*", default=[], help="names of parsers")
    chosen = words.parse_args()
    warnings.simplefilter("ignore")
    # In memory, where there is such a place: a disk would be waited for at each input.
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
    with tempfile.TemporaryDirectory(dir=shared) as name:
        found = [
            parser
            for parser in parsers(Path(name) / "samples")
            if not chosen.only or parser.name in chosen.only
        ]
        seconds = 60 * chosen.minutes / len(found)
        print(f"seed {chosen.seed}, {seconds:.0f} s for each parser")
        n_faults = sum(
            _row(parser, seconds, chosen.seed, Path(name)) for parser in found
        )
    print(f"{n_faults} kinds of faults" if n_faults else "no fault")
    sys.exit(1 if n_faults else 0)


def _row(parser: Parser, seconds: float, seed: int, folder: Path) -> int:
    """Fuzz one parser in a process of its own; return how many kinds of faults it had."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 120
        try:
            resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
            place = folder / f"fuzzed-{os.getpid()}"
            place.mkdir()
            until = time.monotonic() + seconds
            tally = fuzzed(parser, until=until, seed=seed, folder=place)
            print(
                f"{parser.name:24} {tally.n_tried:9,} tried {len(tally.faults):4} faults"
            )
            for where, data in tally.faults.items():
                print(f"    {tally.times[where]:6,} x {where}: {data[:400]!r}")
            sys.stdout.flush()
            status = min(100, len(tally.faults))
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0 or code > 100:
        print(f"{parser.name:24} ended by {code}")
        return 1
    return code


if __name__ == "__main__":
    main()

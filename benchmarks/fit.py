# ruff: noqa: S311 - where it is killed is left to chance
"""What eight random SIGKILLs do to a training: `lowmem.fit` beside what others have.

    python benchmarks/fit.py                     all that are installed, eight kills each
    python benchmarks/fit.py 2 lowmem backup     two kills, some of them
    python benchmarks/fit.py 8 lightning         where Lightning is installed

Each kind is trained twice by `fit_run.py` (Lightning by `fit_lightning.py`, with the same
layers in PyTorch): by one process, and by processes of which so
many are killed, each after a random number of its steps. `steps repeated` are those that
were taken more often than the training has. `weights` is the largest difference from the
unbroken training of the same kind, over the largest weight; 0 is equality to the bit.
`history` tells whether all epochs' losses are there, and equal. `seconds lost` is the time
from the first step of each process to its end, summed, less that of the unbroken one:
the steps repeated and what it takes to restore, without the start of Python. On a machine
that is busy with other work it tells nothing.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

# What is trained; this process loads no Keras.
N_ROWS, BATCH, EPOCHS = 4000, 32, 4
STEPS = EPOCHS * -(-N_ROWS // BATCH)
HERE = Path(__file__).parent.resolve()
KINDS = ("lowmem", "backup", "orbax", "lightning")
KILLS, SEED = 8, 5
HEAD = ("kind", "kills", "steps repeated", "weights", "history", "seconds lost")


def main() -> None:
    """Print a row a kind."""
    words = sys.argv[1:]
    kills = int(words.pop(0)) if words and words[0].isdigit() else KILLS
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}", flush=True)
    for kind in words or KINDS:
        with tempfile.TemporaryDirectory() as folder:
            cells = row(kind, Path(folder), kills)
        print(f"| {' | '.join([kind, *cells])} |", flush=True)


def row(kind: str, folder: Path, kills: int) -> list[str]:
    """Train one kind twice, and compare."""
    whole, killed = folder / "whole", folder / "killed"
    for one in (whole, killed):
        one.mkdir()
    if run(kind, whole):
        return ["", "not installed, or fails unbroken", "", "", ""]
    # Without the kills it would be through; so each comes within its share of the steps.
    chance = random.Random(SEED)
    share = STEPS // (kills + 1)
    done = sum(
        run(kind, killed, after=chance.randint(2, share)) < 0 for _ in range(kills)
    )
    if run(kind, killed):
        return [str(done), "could not go on", "", "", ""]
    steps, seconds = taken(killed)
    _, unbroken_s = taken(whole)
    expected, found = (np.load(one / "end.npz") for one in (whole, killed))
    return [
        str(done),
        str(steps - STEPS),
        difference(found, expected),
        history(found["losses"], expected["losses"]),
        f"{seconds - unbroken_s:.1f}",
    ]


def run(kind: str, folder: Path, *, after: int | None = None) -> int:
    """Run a process, killed after so many steps of its own; return how it ended."""
    path = folder / "steps.txt"
    before, _ = taken(folder)
    line = [HERE / "fit_run.py", kind, folder]
    if kind == "lightning":
        line = [HERE / "fit_lightning.py", folder]
    process = subprocess.Popen(
        [sys.executable, *line],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while after and process.poll() is None:
        if path.exists() and taken(folder)[0] - before >= after:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.005)
    return process.wait()


def taken(folder: Path) -> tuple[int, float]:
    """Return the steps that all processes took, and the seconds from begin to end of each."""
    path = folder / "steps.txt"
    if not path.exists():
        return 0, 0.0
    steps, seconds, begun = 0, 0.0, 0.0
    last = 0.0
    for line in path.read_text(encoding="utf-8").splitlines():
        word, at = line.split()
        if word == "begin":
            seconds += last - begun
            begun = float(at)
        last = float(at)
        steps += word == "step"
    return steps, seconds + last - begun


def difference(found: Any, expected: Any) -> str:  # noqa: ANN401 - archives of arrays
    """Return the largest difference of all weights, over the largest weight."""
    names = [name for name in expected.files if name != "losses"]
    most = max(np.abs(found[name] - expected[name]).max() for name in names)
    largest = max(np.abs(expected[name]).max() for name in names)
    return f"{most / largest:.0e}" if most else "0"


def history(found: Any, expected: Any) -> str:  # noqa: ANN401
    """Return what became of the losses of the epochs."""
    if len(found) < len(expected):
        return f"{len(found)} of {len(expected)} epochs"
    return "equal" if np.array_equal(found, expected) else "differs"


if __name__ == "__main__":
    main()

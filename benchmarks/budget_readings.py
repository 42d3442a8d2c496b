"""What a reading costs, by the number of processes; beside another checkout's."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from checkouts import HERE, described, environment_of, require_checkout

if TYPE_CHECKING:
    import argparse

N_PROCESSES = (1, 4, 16, 150)
# Prints microseconds of each of some readings, with a number of children that sleep.
PROGRAM = """
import json, os, subprocess, sys, time
try:
    from lowmem.memory.process_tree import TreeSampler
except ImportError:
    # As it was called before.
    from lowmem.memory.process import TreeSampler
spec = [sys.executable, "-S", "-c", "import sys; held = b'x' * 2**20; sys.stdin.read()"]
children = [subprocess.Popen(spec, stdin=subprocess.PIPE) for _ in range(int(sys.argv[1]))]
time.sleep(0.5)
try:
    tree = TreeSampler(os.getpid())
except TypeError:
    # As it was made when tmpfs was asked.
    from lowmem.memory.process import tmpfs_mounts, tmpfs_used_bytes
    tree = TreeSampler(os.getpid(), tmpfs_used_bytes(tmpfs_mounts()))
took = []
with tree:
    for _ in range(3): tree.read()
    for _ in range(int(sys.argv[2])):
        began = time.thread_time_ns()
        tree.read()
        took.append((time.thread_time_ns() - began) / 1000)
for child in children: child.stdin.close()
for child in children: child.wait()
print(json.dumps(took))
"""


def run_readings(options: argparse.Namespace, _: Path) -> None:
    """Print the median and the 99th percentile of the cost, in turn with the other's."""
    places = [HERE, *([Path(options.against).resolve()] if options.against else [])]
    for name, place in zip(("here", "there"), places, strict=False):
        require_checkout(place)
        print(f"{name} {described(place)}")
    print(
        "microseconds of processor time of a reading: median (99th percentile), in turn, 20 rounds"
    )
    print(f"{'processes':>10}{'here':>20}", end="")
    print(f"{'there':>20}{'ratio':>8}" if options.against else "")
    for n_processes in N_PROCESSES:
        found: list[list[float]] = [[] for _ in places]
        for _ in range(20):
            for took, place in zip(found, places, strict=True):
                took.extend(_took(n_processes, place))
        medians = [statistics.median(took) for took in found]
        print(f"{n_processes:>10}", end="")
        for took, median in zip(found, medians, strict=True):
            late = statistics.quantiles(took, n=100)[98]
            print(f"{f'{median:.1f} ({late:.0f})':>20}", end="")
        print(
            f"{medians[0] / medians[-1]:>8.2f}" if options.against else "", flush=True
        )


def _took(n_processes: int, place: Path) -> list[float]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(n_processes), "200"],
        env=environment_of(place),
        cwd=tempfile.gettempdir(),
        check=True,
        capture_output=True,
    )
    took: list[float] = json.loads(done.stdout)
    return took

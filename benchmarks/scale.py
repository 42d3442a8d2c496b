"""What an engine costs beside two shards started by hand, and what two shards gain over one.

    python benchmarks/scale.py                    30 s of work, 3 rounds, every engine that is installed
    python benchmarks/scale.py --seconds 4 --rounds 1 --engines local dask

The work is one `lowmem map` of a function that only computes. Each way makes the whole result, in a workspace of its
own, in rounds whose order turns:

- `one`: `lowmem map`, one process.
- `hand`: `lowmem map --shard 0/2` and `1/2` at once, then `lowmem merge`, by a shell.
- `local`, `dask`, `ray`: one `lowmem map --engine NAME --shards 2`, which starts the engine too.

Every result has to have the SHA-256 of `one`, or it ends there. Printed are, of each way, the median over the rounds:
seconds by the clock and by the processors; the overhead (seconds more than `hand`); the speed-up (seconds of `one` over
its own); memory. `held` is anonymous and shared memory of all its processes together, engine and launcher included, as
the budget counts: the largest of readings of a control group, which is to be within `--ram-budget`. `mark` is the
kernel's own high-water mark of that group, page cache included; `largest` the kernel's mark (VmHWM) of the largest single
process. Where this machine gives no control group, both of the group are left out.

SLURM is not among them: what it costs is its queue's.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import shlex
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.exec_runs import Ran, watched

MIB = 2**20
N_ROWS = 64
FUNCTION = """
import hashlib
import numpy as np

TURNS = {turns}

def churn(rows):
    made = []
    for row in rows:
        data = row.tobytes()
        for _ in range(TURNS):
            data = hashlib.sha256(data * 4096).digest()
        made.append(np.frombuffer(data, np.uint8))
    # Wide rows: a block is of so many bytes at least.
    return np.tile(np.stack(made), (1, 2**16))
"""
LIBRARIES = {"local": "lowmem", "dask": "distributed", "ray": "ray"}
# Hashed in a second by one core of a small machine, about.
BYTES_PER_S = 400e6


def fill(folder: Path, seconds: float) -> None:
    """Write a function, of so many seconds for all rows, and its rows."""
    turns = max(1, round(seconds / N_ROWS * BYTES_PER_S / (32 * 4096)))
    (folder / "own.py").write_text(FUNCTION.format(turns=turns))
    np.save(folder / "rows.npy", np.arange(N_ROWS)[:, None] / 2)


def line_of(way: str, workspace: str, ram: str) -> list[str]:
    """Return the command of a way; all of it is one program."""
    program = [sys.executable, "-m", "lowmem"]
    words = ["map", "own.py:churn", "rows.npy", "out.zarr", "--set", "rows=2"]
    words += ["--workspace", workspace, "--quiet"]
    if way == "one":
        return [*program, *words, "--ram-budget", ram]
    if way != "hand":
        engine = ["--engine", way, "--shards", "2", "--ram-budget", ram]
        return [*program, *words, *engine]
    share = ["--ram-budget", "500M"]
    shards = [
        shlex.join([*program, *words, *share, "--shard", f"{n}/2"]) for n in range(2)
    ]
    merge = shlex.join(
        [*program, "merge", "map-out", "--workspace", workspace, "--quiet", *share]
    )
    return ["/bin/sh", "-c", f"{shards[0]} & {shards[1]} && wait && {merge}"]


def digest(store: Path) -> str:
    """Return one SHA-256 of all files of a store."""
    found = hashlib.sha256()
    for file in sorted(path for path in store.rglob("*") if path.is_file()):
        found.update(str(file.relative_to(store)).encode())
        found.update(file.read_bytes())
    return found.hexdigest()


def measured(way: str, folder: Path, n_round: int, ram: str) -> tuple[Ran, str]:
    """Run one way; return how it went, and the SHA-256 of what it made."""
    workspace = f"{way}-{n_round}"
    ran = watched(line_of(way, workspace, ram), folder)
    if ran.exit_code != 0:
        raise SystemExit(f"{way} ended with {ran.exit_code}:\n{ran.errors}")
    return ran, digest(folder / workspace / "out.zarr")


def row(way: str, runs: dict[str, list[Ran]]) -> str:
    """Return a line of the table."""

    def median(of: str, name: str) -> float:
        return statistics.median(getattr(ran, name) or 0 for ran in runs[of])

    took_s = median(way, "took_s")
    cells = [
        f"{took_s:8.1f}",
        f"{median(way, 'cpu_s'):8.1f}",
        f"{took_s - median('hand', 'took_s'):+9.1f}",
        f"{median('one', 'took_s') / took_s:9.2f}",
    ]
    for name in ("group_peak", "group_mark", "rss_bytes"):
        most = max(getattr(ran, name) or 0 for ran in runs[way])
        cells.append(f"{most / MIB:8.0f}" if most else "       -")
    return f"{way:<6}" + "".join(cells)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engines", nargs="*", default=list(LIBRARIES))
    parser.add_argument("--ram-budget", default="2500M")
    options = parser.parse_args()
    there = [e for e in options.engines if importlib.util.find_spec(LIBRARIES[e])]
    for lacking in sorted(set(options.engines) - set(there)):
        print(f"{lacking}: not installed, left out")
    ways = ["one", "hand", *there]
    runs: dict[str, list[Ran]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, options.seconds)
        made = set()
        for n_round in range(options.rounds):
            for way in ways[n_round % len(ways) :] + ways[: n_round % len(ways)]:
                ran, result = measured(way, folder, n_round, options.ram_budget)
                runs[way].append(ran)
                made.add(result)
                print(f"{way}: {ran.took_s:.1f} s", flush=True)
    if len(made) != 1:
        raise SystemExit("the ways made different results")
    print(f"all {sum(map(len, runs.values()))} results have one SHA-256")
    head = ("clock s", "cpu s", "overhead", "speed-up", "held", "mark", "largest")
    widths = (8, 8, 9, 9, 8, 8, 8)
    print("      " + "".join(f"{h:>{w}}" for h, w in zip(head, widths, strict=True)))
    for way in ways:
        print(row(way, runs))
    print("held, mark, largest in MiB")


if __name__ == "__main__":
    main()

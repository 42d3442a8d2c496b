"""A map beside the loop that one writes by hand: side by side, in pairs.

    python benchmarks/map.py                  2 GB of source, 5 pairs
    python benchmarks/map.py --gigabytes 0.5 --pairs 3

The loop is what a person writes with NumPy or Zarr alone: open, call, store, flush, with
the same rows at once. It neither verifies what it reads, nor can it go on. The map is the
work of the job itself, with its commits, in a process of its own as the loop is; what
supervises it is `benchmarks/budgets.py`'s to measure. Order alternates within the pairs;
source and result are read from, and written to, the same disk. Printed are the medians in
MB of source a second, the median of the pairs' ratios with the least and the largest, and
the same of the processors' time, which tells more on a machine that others use too.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from lowmem.stores import RowWriter

ROW = (96, 96, 3)
CHUNK_ROWS = 128
FUNCTIONS = """
import numpy as np

def brightness(images):
    return images.mean(axis=(1, 2, 3))

def halved(images):
    quarters = images.reshape(len(images), 48, 2, 48, 2, 3)
    return quarters.mean(axis=(2, 4), dtype=np.float32)
"""
# What runs in each process: it prints the seconds of the work alone.
LOOP = """
import json, os, sys, time
import numpy as np, zarr
import functions
source, out, name, rows = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
began, worked = time.perf_counter(), time.process_time()
array = np.load(source, mmap_mode="r") if source.endswith(".npy") else zarr.open_array(source, mode="r")
function = getattr(functions, name)
like = function(array[:1])
store = zarr.create_array(
    out, shape=(len(array), *like.shape[1:]), dtype=like.dtype,
    chunks=(16 * rows, *like.shape[1:]), compressors=None,
)
n = len(array)
# As many results as a chunk holds, so that each chunk is written once.
for start in range(0, n, 16 * rows):
    parts = [function(array[at : min(at + rows, n)]) for at in range(start, min(start + 16 * rows, n), rows)]
    store[start : start + 16 * rows] = np.concatenate(parts)
os.sync()
print(time.perf_counter() - began, time.process_time() - worked)
"""
MAP = """
import sys, time
import functions, lowmem, lowmem.mapping.work
from pathlib import Path
from tests.driver import drive
source, out, name, rows = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
began, worked = time.perf_counter(), time.process_time()
job = lowmem.map(source=source, out=Path(out).name, rows=rows)(getattr(functions, name))
drive(job, Path(out).parent, settings={"held": 4 if source.endswith("images") else 1}, cycle_steps=10**6)
print(time.perf_counter() - began, time.process_time() - worked)
"""


def main() -> None:
    """Print one line for each source and function."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; temporary else")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        root = Path(folder)
        (root / "functions.py").write_text(FUNCTIONS)
        for name, source in _sources(root, int(given.gigabytes * 10**9)):
            for function in ("brightness", "halved"):
                print(_line(root, name, source, function, given.pairs), flush=True)


def _sources(root: Path, n_bytes: int) -> list[tuple[str, Path]]:
    n_rows = n_bytes // int(np.prod(ROW)) // CHUNK_ROWS * CHUNK_ROWS
    random = np.random.default_rng(1)
    mapped = np.lib.format.open_memmap(
        root / "rows.npy", "w+", np.dtype(np.uint8), (n_rows, *ROW)
    )
    writers = {
        codec: RowWriter.open(
            root / f"{codec}.zarr",
            "images",
            row_shape=ROW,
            dtype=np.uint8,
            chunk_rows=CHUNK_ROWS,
            codec=codec,
        )
        for codec in ("none", "lz4")
    }
    base = random.integers(0, 256, (CHUNK_ROWS, 24, 24, 3), np.uint8)
    for start in range(0, n_rows, CHUNK_ROWS):
        rows = np.roll(base, start, axis=0).repeat(4, axis=1).repeat(4, axis=2)
        mapped[start : start + CHUNK_ROWS] = rows
        for writer in writers.values():
            writer.append(rows)
    mapped.flush()
    for writer in writers.values():
        writer.flush()
    stores = [(codec, root / f"{codec}.zarr" / "images") for codec in writers]
    return [("npy", root / "rows.npy"), *stores]


def _line(root: Path, name: str, source: Path, function: str, pairs: int) -> str:
    taken: dict[str, list[tuple[float, float]]] = {"loop": [], "map": []}
    for pair in range(pairs + 1):
        sides = ("loop", "map") if pair % 2 else ("map", "loop")
        for side in sides:
            seconds = _seconds(root, side, source, function)
            if pair:  # The first warms the page cache.
                taken[side].append(seconds)
    speeds = {
        side: _megabytes(source) / statistics.median(wall for wall, _ in taken[side])
        for side in taken
    }
    return (
        f"{name:>5} {function:>10}: loop {speeds['loop']:6.0f} MB/s, "
        f"map {speeds['map']:6.0f} MB/s; map of loop {_ratio(taken, 0)}, "
        f"by processor {_ratio(taken, 1)}"
    )


def _ratio(taken: dict[str, list[tuple[float, float]]], which: int) -> str:
    pairs = zip(taken["loop"], taken["map"], strict=True)
    ratios = [loop[which] / mapped[which] for loop, mapped in pairs]
    median = statistics.median(ratios)
    return f"{median:.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def _megabytes(source: Path) -> float:
    if source.suffix == ".npy":
        return source.stat().st_size / 1e6
    shape = json.loads((source / "zarr.json").read_bytes())["shape"]
    return float(np.prod(shape)) / 1e6


def _seconds(root: Path, side: str, source: Path, function: str) -> tuple[float, float]:
    space = root / "space"
    space.mkdir()
    code = {"loop": LOOP, "map": MAP}[side]
    line = [sys.executable, "-c", code, source, space / "out.zarr", function, "128"]
    done = subprocess.run(
        list(map(str, line)),
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={"PYTHONPATH": f"{root}:{Path(__file__).parents[1]}", "PATH": ""},
    )
    shutil.rmtree(space)
    wall, worked = map(float, done.stdout.split())
    return wall, worked


if __name__ == "__main__":
    main()

"""A map beside the loop that one writes by hand: side by side, in pairs.

    python benchmarks/map.py                  2 GB of source, 5 pairs
    python benchmarks/map.py --gigabytes 0.5 --pairs 3

The loop is what a person writes with NumPy or Zarr alone: open, call, store, flush, with
the same rows at once. It neither verifies what it reads, nor can it go on. The map is the
work of the job itself, with its commits, in a process of its own as the loop is; what
supervises it is `benchmarks/budgets.py`'s to measure. Order alternates within the pairs;
source and result are read from, and written to, the same disk. Each side is run on all rows
and on a quarter of them: what the difference takes is the throughput, the rest is what a map
costs whatever its length (rows tried, a last commit, checksums, results put in their place).
Printed are the loop's time for the difference over the map's, and the seconds beside, by the
clock and by the processors' time, which tells more on a machine that others use too.
"""

from __future__ import annotations

import argparse
import shutil
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
        n_bytes = int(given.gigabytes * 10**9)
        for share in (1, 4):
            (root / str(share)).mkdir()
            _write_sources(root / str(share), n_bytes // share)
        for name in ("rows.npy", "none.zarr/images", "lz4.zarr/images"):
            for function in ("brightness", "halved"):
                print(_line(root, name, function, given.pairs), flush=True)


def _write_sources(root: Path, n_bytes: int) -> None:
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


def _line(root: Path, name: str, function: str, pairs: int) -> str:
    taken: dict[tuple[str, int], list[np.ndarray]] = {}
    for pair in range(pairs + 1):
        sides = ("loop", "map") if pair % 2 else ("map", "loop")
        for share in (1, 4):
            for side in sides:
                seconds = _seconds(root, side, root / str(share) / name, function)
                if pair:  # The first warms the page cache.
                    taken.setdefault((side, share), []).append(seconds)
    medians = {key: np.median(found, axis=0) for key, found in taken.items()}
    rest = {side: medians[side, 1] - medians[side, 4] for side in ("loop", "map")}
    ratios = rest["loop"] / rest["map"]
    fixed = (
        medians["map", 1] - medians["loop", 1] - (rest["map"] - rest["loop"]) * 4 / 3
    )
    return (
        f"{name:>16} {function:>10}: throughput of the loop's {ratios[0]:.3f}, by "
        f"processor {ratios[1]:.3f}; beside it {fixed[0]:.2f} s, by processor "
        f"{fixed[1]:.2f} s; the whole {medians['loop', 1][0]:.2f} s and "
        f"{medians['map', 1][0]:.2f} s"
    )


def _seconds(root: Path, side: str, source: Path, function: str) -> np.ndarray:
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
    return np.array(done.stdout.split(), float)


if __name__ == "__main__":
    main()

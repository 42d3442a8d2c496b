"""Is there a best number of images in one chunk? Packing, reading and verifying by it.

    python benchmarks/chunk_rows.py                  40,000 images: 1.1 GB and its stores
    python benchmarks/chunk_rows.py --images 4000 --rounds 1      tries it

96 x 96 x 3 bytes, stores without compression and with lz4. Each figure is of a process of its own,
the median of the rounds, which take all sizes in turn; ratios are to 128 rows, the default.

`pack`: images/s of an ingest of an array, and the process's VmHWM. `shuffled`: images/s in an exact
shuffle, batches of 128, warm page cache. `cold`: the same past the page cache. `verify`: MB/s of the
checksums. `lz4 first`, `lz4 then`: images/s of the first epoch, which decodes, and of the next.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
SIZES = (16, 32, 128, 512, 2048)
SIDE, BATCH = 96, 128
USUAL = 128
COLUMNS = ("pack", "shuffled", "cold", "verify", "lz4 first", "lz4 then")


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=3, metavar=("WHAT", "FOLDER", "ROWS"))
    options = parser.parse_args()
    if options.child:
        what, folder, rows = options.child
        print(*CHILDREN[what](Path(folder), int(rows)))
        return
    folder = Path(tempfile.mkdtemp(prefix="lowmem-chunks-"))
    try:
        _print_table(_measured(folder, options.images, options.rounds))
    finally:
        shutil.rmtree(folder)


def _measured(folder: Path, n_images: int, rounds: int) -> dict[int, dict[str, float]]:
    _write_array(folder / "images.npy", n_images)
    found: dict[int, dict[str, list[float]]] = {
        rows: {name: [] for name in (*COLUMNS, "peak MiB")} for rows in SIZES
    }
    for _ in range(rounds):
        for rows, columns in found.items():
            rate, peak = _child("pack", folder, rows)
            columns["pack"].append(rate)
            columns["peak MiB"].append(peak)
            for what in ("shuffled", "cold", "verify"):
                columns[what] += _child(what, folder, rows)
            first, then = _child("lz4", folder, rows)
            columns["lz4 first"].append(first)
            columns["lz4 then"].append(then)
            for codec in ("none", "lz4"):
                shutil.rmtree(folder / f"{rows}-{codec}")
    return {
        rows: {name: statistics.median(some) for name, some in columns.items()}
        for rows, columns in found.items()
    }


def _child(what: str, folder: Path, rows: int) -> list[float]:
    line = [sys.executable, __file__, "--child", what, str(folder), str(rows)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(line, check=True, capture_output=True, text=True, env=env)
    return [float(word) for word in done.stdout.split()]


def _print_table(table: dict[int, dict[str, float]]) -> None:
    print(f"{'rows':>5}" + "".join(f"{name:>19}" for name in COLUMNS) + "   peak MiB")
    for rows, columns in table.items():
        cells = ""
        for name in COLUMNS:
            ratio = columns[name] / table[USUAL][name]
            cells += f"{columns[name]:>12,.0f} ({ratio:4.2f})"
        print(f"{rows:>5}{cells}{columns['peak MiB']:>11.0f}")


def _write_array(path: Path, n_images: int) -> None:
    """Write coarse patterns with noise, of which lz4 makes some half."""
    random = np.random.default_rng(0)
    shape = (n_images, SIDE, SIDE, 3)
    rows = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    for start in range(0, n_images, 1000):
        part = rows[start : start + 1000]
        coarse = random.integers(0, 256, (len(part), 12, 12, 3), np.uint8)
        part[:] = coarse.repeat(8, 1).repeat(8, 2)
        part ^= random.integers(0, 8, part.shape, np.uint8)
    rows.flush()


# --- children ----------------------------------------------------------------------


def pack(folder: Path, rows: int) -> tuple[float, float]:
    """Make both stores; return images a second, and the peak of the one without codec."""
    from lowmem_jobs.ingest.job import JOB
    from tests.driver import drive

    rates, peak = [], 0.0
    for codec in ("none", "lz4"):
        work = folder / f"{rows}-{codec}"
        given = {"source": str(folder / "images.npy"), "codec": codec}
        began = time.perf_counter()
        summary = drive(
            JOB, work, given | {"size": SIDE, "chunk_rows": rows}, cycle_steps=2048 // rows + 1
        )  # fmt: skip
        rates.append(summary["images"] / (time.perf_counter() - began))
        peak = peak or _peak_mib()
    return rates[0], peak


def _peak_mib() -> float:
    text = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", text)[1]) / 1024


def shuffled(folder: Path, rows: int) -> tuple[float]:
    """Return images a second of the second of two epochs."""
    return (_epochs(folder / f"{rows}-none", 2)[1],)


def cold(folder: Path, rows: int) -> tuple[float]:
    """Return images a second of an epoch of which the page cache holds nothing."""
    store = folder / f"{rows}-none"
    for file in (store / "images.zarr" / "images").iterdir():
        with file.open("rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return (_epochs(store, 1)[0],)


def lz4(folder: Path, rows: int) -> tuple[float, float]:
    """Return images a second of the first and of the second epoch of the other store."""
    first, then = _epochs(folder / f"{rows}-lz4", 2, spill=folder)
    return first, then


def _epochs(work: Path, n_epochs: int, spill: Path | None = None) -> list[float]:
    from lowmem.stores.batches import open_batches
    from lowmem.stores.epoch_order import EpochOrder

    store = work / "images.zarr"
    n_images = int(np.prod(_shape(store)[:1]))
    rates = []
    with open_batches(store, "images", batch_rows=BATCH, spill_folder=spill) as reader:
        for epoch in range(n_epochs):
            order = EpochOrder(n_rows=n_images, seed=1, epoch=epoch)
            began = time.perf_counter()
            for start in range(0, n_images, BATCH):
                reader.read(order.rows(start, min(start + BATCH, n_images)))
            rates.append(n_images / (time.perf_counter() - began))
    return rates


def verify(folder: Path, rows: int) -> tuple[float]:
    """Return MB a second of holding every chunk against its checksum."""
    from lowmem.integrity.stores import check_store

    store = folder / f"{rows}-none" / "images.zarr"
    began = time.perf_counter()
    if check_store(store).bad:
        raise SystemExit("the store is damaged")
    n_bytes = np.prod(_shape(store))
    return (n_bytes / 1e6 / (time.perf_counter() - began),)


def _shape(store: Path) -> tuple[int, ...]:
    from lowmem.stores.metadata import read_array_info

    return read_array_info(store / "images").shape


CHILDREN = {
    "pack": pack,
    "shuffled": shuffled,
    "cold": cold,
    "lz4": lz4,
    "verify": verify,
}

if __name__ == "__main__":
    main()

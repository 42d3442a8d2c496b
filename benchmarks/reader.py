"""Reading shuffled batches in figures: speed and memory beside an array in RAM.

    python benchmarks/reader.py                    all parts, a table each
    python benchmarks/reader.py table fit          some of them
    python benchmarks/reader.py large --n 1000000  needs 28 GB of disk

`table`: ours and other readers of 96x96x3 bytes, batches of 128, on one pinned core
(decoding: two). Every row is a process of its own; they work in turn, a moment each, so
that the machine's drift meets all; each ratio is the median over the rounds.
`fit`: Keras' `fit` of a model that costs nothing, fed in three ways.
`model`: `fit` of a small autoencoder from RAM and from disk: speed, and equal weights.
`large`: an epoch and the peak for `--n` images and for a twentieth of them, then with a
cold page cache beside the disk's sequential speed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reader_data import (
    BATCH,
    ROW_BYTES,
    ROWS,
    ours,
    write_hdf5,
    write_store,
    write_tfrecord,
)
from reader_fit import fit, model

ROOT = Path(__file__).parents[1]
N_TABLE = 20_000
N_ROUNDS, ROUND_S = 9, 0.3
MB = 10**6


# --- processes ----------------------------------------------------------------------


def status(name: str) -> int:
    """Return one field of this process's status in bytes."""
    text = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(name + r":\s+(\d+)", text)[1])


def serve(row: str, folder: Path) -> None:
    """Be the process of one row: read for a moment each time a line comes."""
    _, make, cores = ROWS[row]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    batches = make(folder)
    next(batches)
    if row == "lz4":
        for _ in range(N_TABLE // BATCH + 1):
            next(batches)
    print("ready", flush=True)
    for _ in sys.stdin:
        begun, n = time.perf_counter(), 0
        while time.perf_counter() - begun < ROUND_S:
            n += next(batches)
        rate = n / (time.perf_counter() - begun)
        found = {"rate": rate, "hwm": status("VmHWM"), "more": status("VmHWM") - before}
        print(json.dumps(found | {"anon": status("RssAnon")}), flush=True)


def table(folder: Path, _: argparse.Namespace) -> None:
    """Compare the readers in turn."""
    write_store(folder / "none.zarr", N_TABLE, "none")
    write_store(folder / "lz4.zarr", N_TABLE, "lz4")
    for write in (write_hdf5, write_tfrecord):
        name = "images." + write.__name__.removeprefix("write_").replace("hdf5", "h5")
        command = f"import reader_data, pathlib; reader_data.{write.__name__}(pathlib.Path({str(folder / name)!r}), {N_TABLE})"
        subprocess.run(
            [sys.executable, "-c", command], cwd=ROOT / "benchmarks", check=True
        )
    found: dict[str, list[dict]] = {row: [] for row in ROWS}
    children = {}
    for row in ROWS:
        children[row] = child = subprocess.Popen(
            [sys.executable, __file__, "--row", row, "--folder", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if child.stdout.readline().strip() != "ready":
            print(f"  {ROWS[row][0]}: not installed, or failed")
            del children[row]
    for _round in range(N_ROUNDS):
        for row, child in children.items():
            print("go", file=child.stdin, flush=True)
            found[row].append(json.loads(child.stdout.readline()))
    for child in children.values():
        child.stdin.close()
        child.wait()
    print(f"  {'':<36}{'k/s':>7}{'ratio':>8}{'VmHWM':>9}{'more':>7}{'RssAnon':>9}  MB")
    for row in children:
        ratios = [
            a["rate"] / b["rate"] for a, b in zip(found[row], found["ram"], strict=True)
        ]
        rate = statistics.median(each["rate"] for each in found[row])
        last = found[row][-1]
        print(
            f"  {ROWS[row][0]:<36}{rate / 1000:>7.1f}{statistics.median(ratios):>8.2f}"
            f"{last['hwm'] / MB:>9.0f}{last['more'] / MB:>7.0f}{last['anon'] / MB:>9.0f}"
        )
    first_epoch(folder, statistics.median(each["rate"] for each in found["ram"]))


def first_epoch(folder: Path, ram: float) -> None:
    """Time epochs of a compressed store that begin with nothing decoded, two threads."""
    rates = []
    for _ in range(3):
        batches, n = ours(folder, store="lz4.zarr"), 0
        begun = time.perf_counter()
        while n < N_TABLE:
            n += next(batches)
        rates.append(n / (time.perf_counter() - begun))
        batches.close()
    rate = statistics.median(rates)
    print(
        f"  {'lowmem, lz4, first epoch, 2 threads':<36}{rate / 1000:>7.1f}{rate / ram:>8.2f}"
    )


# --- large --------------------------------------------------------------------------

EPOCH = """
import sys, time, pathlib
sys.path.insert(0, "benchmarks")
import reader, reader_data
folder, n = pathlib.Path(sys.argv[1]), int(sys.argv[2])
batches, seen = reader_data.ours(folder), 0
begun = time.perf_counter()
for size in batches:
    seen += size
    if seen >= n:
        break
print(time.perf_counter() - begun, reader.status("VmHWM"), reader.status("RssAnon"))
"""


def large(folder: Path, options: argparse.Namespace) -> None:
    """Show that an epoch takes time in proportion, and memory that does not grow."""
    found = {}
    for n in (options.n // 20, options.n):
        path = folder / str(n)
        write_store(path / "none.zarr", n, "none")
        seconds, hwm, anon = one_epoch(path, n)
        found[n] = (seconds / n, hwm)
        print(
            f"  {n:>9,} images: {seconds:.1f} s, {1e6 * seconds / n:.2f} us each, "
            f"VmHWM {hwm / MB:.1f} MB, RssAnon {anon / MB:.1f} MB"
        )
    (a, b), (c, d) = found.values()
    print(f"  time each, ratio {c / a:.3f}; VmHWM, ratio {d / b:.3f}")
    files = sorted((path / "none.zarr/images").glob("c.*"))
    drop(files)
    begun = time.perf_counter()
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.read(2**22):
                pass
    sequential = options.n * ROW_BYTES / (time.perf_counter() - begun)
    drop(files)
    seconds = one_epoch(path, options.n)[0]
    cold = options.n * ROW_BYTES / seconds
    print(
        f"  cold: {cold / MB:.0f} MB/s, sequential reading of the disk "
        f"{sequential / MB:.0f} MB/s, ratio {cold / sequential:.2f}"
    )


def one_epoch(folder: Path, n: int) -> tuple[float, int, int]:
    """Return seconds, VmHWM and RssAnon of an epoch in a fresh process."""
    command = [sys.executable, "-c", EPOCH, str(folder), str(n)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    seconds, hwm, anon = done.stdout.split()
    return float(seconds), int(hwm), int(anon)


def drop(files: list[Path]) -> None:
    """Drop files from the page cache."""
    for file in files:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


PARTS = {part.__name__: part for part in (table, fit, model, large)}


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where the data go for a time")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row:
        serve(options.row, options.folder)
        return
    for name in options.parts or list(PARTS):
        print(name, flush=True)
        with tempfile.TemporaryDirectory(dir=options.folder, prefix="reader-") as data:
            PARTS[name](Path(data), options)


if __name__ == "__main__":
    main()

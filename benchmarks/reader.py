"""Reading shuffled batches in figures: speed and memory beside an array in RAM.

    python benchmarks/reader.py                    all parts, a table each
    python benchmarks/reader.py table fit          some of them
    python benchmarks/reader.py table --peers PYTHON    peers in another environment
    python benchmarks/reader.py large --n 1000000  needs 30 GB of disk

`table`: ours and other readers of 96x96x3 bytes, batches of 128, on one pinned core
(decoding: two). Every row is a process of its own; they work in turn, a moment each, so
that the machine's drift meets all; each ratio is the median over the rounds. PyTorch,
litdata and Grain are run by `--peers`, the Python of an environment that has them. `more`
is VmHWM less what it was before the libraries were loaded, of that process alone.
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
from typing import TYPE_CHECKING

from reader_data import OWN_ROWS, ROW_BYTES, in_ram, ours, write_store
from reader_fit import fit, model
from reader_peers import PEER_ROWS, PEERS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
N_TABLE = 20_000
N_ROUNDS, ROUND_S = 9, 0.3
MB = 10**6
ROWS = OWN_ROWS | PEER_ROWS


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
        rate_of(batches, N_TABLE)
    print("ready", flush=True)
    for _ in sys.stdin:
        begun, n = time.perf_counter(), 0
        while time.perf_counter() - begun < ROUND_S:
            n += next(batches)
        rate = n / (time.perf_counter() - begun)
        found = {"rate": rate, "hwm": status("VmHWM"), "more": status("VmHWM") - before}
        print(json.dumps(found | {"anon": status("RssAnon")}), flush=True)


def written(python: str, module: str, write: str, path: Path) -> bool:
    """Have a process write the images in a peer's format; tell whether it did."""
    code = f"""
import pathlib, sys
sys.path.insert(0, "benchmarks")
import {module}
{module}.{write}(pathlib.Path({str(path)!r}), {N_TABLE})
"""
    done = subprocess.run(
        [python, "-c", code], check=False, cwd=ROOT, capture_output=True
    )
    return done.returncode == 0


def begun(row: str, folder: Path, python: str) -> subprocess.Popen | None:
    """Return the process of a row once it has read a batch; None if it cannot."""
    child = subprocess.Popen(
        [python, __file__, "--row", row, "--folder", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    if child.stdout.readline().strip() == "ready":
        return child
    child.kill()
    child.wait()
    return None


def table(folder: Path, options: argparse.Namespace) -> None:
    """Compare the readers in turn."""
    write_store(folder / "none.zarr", N_TABLE, "none")
    write_store(folder / "lz4.zarr", N_TABLE, "lz4")
    written(sys.executable, "reader_data", "write_hdf5", folder / "images.h5")
    written(sys.executable, "reader_data", "write_tfrecord", folder / "images.tfrecord")
    for name, write in PEERS.values():
        written(options.peers, "reader_peers", write.__name__, folder / name)
    pythons = {row: options.peers if row in PEERS else sys.executable for row in ROWS}
    children = {row: begun(row, folder, python) for row, python in pythons.items()}
    found = in_turn({row: child for row, child in children.items() if child})
    print(f"  {'':<36}{'k/s':>7}{'ratio':>8}{'VmHWM':>9}{'more':>7}{'RssAnon':>9}  MB")
    for row in ROWS:
        show(row, found)
    first_epoch(folder)


def in_turn(children: dict[str, subprocess.Popen]) -> dict[str, list[dict]]:
    """Let each process read for a moment, round after round."""
    found: dict[str, list[dict]] = {row: [] for row in children}
    for _round in range(N_ROUNDS):
        for row, child in children.items():
            print("go", file=child.stdin, flush=True)
            found[row].append(json.loads(child.stdout.readline()))
    for child in children.values():
        child.stdin.close()
        child.wait()
    return found


def show(row: str, found: dict[str, list[dict]]) -> None:
    """Print one row of the table."""
    title = f"  {ROWS[row][0]:<36}"
    if row not in found:
        print(f"{title}not installed, or failed")
        return
    ratios = [
        a["rate"] / b["rate"] for a, b in zip(found[row], found["ram"], strict=True)
    ]
    rate = statistics.median(each["rate"] for each in found[row])
    last = found[row][-1]
    print(
        f"{title}{rate / 1000:>7.1f}{statistics.median(ratios):>8.2f}"
        f"{last['hwm'] / MB:>9.0f}{last['more'] / MB:>7.0f}{last['anon'] / MB:>9.0f}"
    )


def first_epoch(folder: Path) -> None:
    """Time epochs of a compressed store that begin with nothing decoded, two threads."""
    ram, ratios, rates = in_ram(folder), [], []
    next(ram)
    for _ in range(5):
        ceiling = rate_of(ram, N_TABLE)
        batches = ours(folder, store="lz4.zarr")
        rates.append(rate_of(batches, N_TABLE))
        batches.close()
        ratios.append(rates[-1] / ceiling)
    rate, ratio = statistics.median(rates), statistics.median(ratios)
    print(
        f"  {'lowmem, lz4, first epoch, 2 threads':<36}{rate / 1000:>7.1f}{ratio:>8.2f}"
    )


def rate_of(batches: Iterator[int], n: int) -> float:
    """Return the images a second of reading ``n``."""
    begun, seen = time.perf_counter(), 0
    while seen < n:
        seen += next(batches)
    return seen / (time.perf_counter() - begun)


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
    parser.add_argument(
        "--peers", default=sys.executable, help="Python of PyTorch, litdata and Grain"
    )
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

"""Reading shuffled batches in figures: speed and memory beside an array in RAM.

    python benchmarks/reader.py                    all parts, a table each
    python benchmarks/reader.py table fit          some of them
    python benchmarks/reader.py table --peers PYTHON    peers in another environment
    python benchmarks/reader.py large --n 1000000  needs 30 GB of disk

`table`: ours and other readers of 96x96x3 bytes, batches of 128, on one pinned core
(decoding: two), and what the kernel's copy and the codec alone allow. Every row is a process of its own; they work in turn, a moment each, so
that the machine's drift meets all; each ratio is the median over the rounds. PyTorch,
litdata and Grain are run by `--peers`, the Python of an environment that has them. `more`
is VmHWM less what it was before the libraries were loaded, of that process alone.
`fit`: Keras' `fit` of a model that costs nothing, fed in three ways.
`model`: `fit` of the study's autoencoder from RAM, and from disk with a budget of a tenth
of the data for the reader: speed, order and final weights. `--n` images, else 480 (5 minutes);
`--n 48 --rounds 1` tries it.
`large`: an epoch and the peak for `--n` images, else 200,000, and for a twentieth of them
(beside a bare loop of preadv: how much of the growth is the kernel's),
then with a cold page cache beside the disk's sequential speed, and with one that was
filled from the disk.
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

import psutil
from reader_data import OWN_ROWS, ROW_BYTES, bare_decoding, in_ram, ours, write_store
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
    ram = in_ram(folder)
    next(ram)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(N_ROUNDS):
        ceiling = rate_of(ram, N_TABLE)
        batches = ours(folder, store="lz4.zarr")
        rates = {"lowmem, lz4, first epoch, 2 threads": rate_of(batches, N_TABLE)}
        batches.close()
        bare = bare_decoding(folder, 2, is_spilled=True)
        rates["bare: decompressed, written, read"] = bare
        rates["bare: lz4 decompressed once"] = bare_decoding(folder, 2)
        for name, rate in rates.items():
            found.setdefault(name, []).append((rate, rate / ceiling))
    for name, pairs in found.items():
        rate, ratio = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(f"  {name:<36}{rate / 1000:>7.1f}{ratio:>8.2f}")


def rate_of(batches: Iterator[int], n: int) -> float:
    """Return the images a second of reading ``n``."""
    begun, seen = time.perf_counter(), 0
    while seen < n:
        seen += next(batches)
    return seen / (time.perf_counter() - begun)


# --- large --------------------------------------------------------------------------

# Libraries are loaded before the clock runs; the first epoch finds what is in the cache.
EPOCH = """
import sys, time, pathlib
sys.path.insert(0, "benchmarks")
import lowmem.stores.batches, reader, reader_data
folder, n, run_length = pathlib.Path(sys.argv[1]), *map(int, sys.argv[2:])
batches = (
    reader_data.ours(folder, run_length=run_length)
    if run_length
    else reader_data.bare_preadv(folder)
)
seen = next(batches)
begun = time.perf_counter()
while seen < n:
    seen += next(batches)
print(time.perf_counter() - begun, reader.status("VmHWM"), reader.status("RssAnon"))
"""


def large(folder: Path, options: argparse.Namespace) -> None:
    """Show how time and memory of an epoch grow with the number of images."""
    n = options.n or 200_000
    small = one_size(folder, n // 20)
    big = one_size(folder, n)
    more = (big["hwm"] - small["hwm"]) / (n - n // 20)
    print(
        f"  time each, ratio {big['each'] / small['each']:.3f}, of the bare loop "
        f"{big['bare'] / small['bare']:.3f}; VmHWM, ratio "
        f"{big['hwm'] / small['hwm']:.3f}, {more:.1f} bytes an image more"
    )
    files = chunks_of(folder, n)
    drop(files)
    sequential = n * ROW_BYTES / read_through(files)
    print(f"  cold, sequential reading of the disk: {sequential / MB:.0f} MB/s")
    for run_length in (1, 8):
        drop(files)
        cold = n * ROW_BYTES / one_epoch(folder / str(n), n, run_length)[0]
        print(
            f"  cold, runs of {run_length}: {cold / MB:.0f} MB/s, "
            f"ratio {cold / sequential:.2f}"
        )
    drop(files)
    read_through(files)
    found = [one_epoch(folder / str(n), n, runs)[0] for runs in (1, 0)]
    own, bare = (f"{1e6 * seconds / n:.2f}" for seconds in found)
    print(
        f"  warm again, from the disk instead of the writer: {own} us each; a bare loop "
        f"of preadv {bare} us each"
    )


def one_size(folder: Path, n: int) -> dict[str, float]:
    """Write ``n`` images, and read an epoch of them in a fresh process."""
    write_store(folder / str(n) / "none.zarr", n, "none")
    os.sync()
    cache = psutil.virtual_memory().available
    if n * ROW_BYTES > cache:
        print(f"  {n:>9,} images do not fit the page cache of {cache / MB:,.0f} MB")
    read_through(chunks_of(folder, n))
    bare, *_ = one_epoch(folder / str(n), n, run_length=0)
    seconds, hwm, anon = one_epoch(folder / str(n), n)
    print(
        f"  {n:>9,} images: {seconds:.2f} s, {1e6 * seconds / n:.2f} us each, "
        f"VmHWM {hwm / MB:.1f} MB, RssAnon {anon / MB:.1f} MB; a bare loop of preadv "
        f"{1e6 * bare / n:.2f} us each"
    )
    return {"each": seconds / n, "bare": bare / n, "hwm": hwm}


def chunks_of(folder: Path, n: int) -> list[Path]:
    """Return the files of the chunks, in their order."""
    files = (folder / str(n) / "none.zarr" / "images").glob("c.*")
    return sorted(files, key=lambda file: int(file.name.split(".")[1]))


def read_through(files: list[Path]) -> float:
    """Read files one after the other; return the seconds."""
    begun, block = time.perf_counter(), bytearray(2**22)
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(block):
                pass
    return time.perf_counter() - begun


def one_epoch(folder: Path, n: int, run_length: int = 1) -> tuple[float, int, int]:
    """Return seconds, VmHWM and RssAnon of an epoch in a fresh process.

    With runs of 0 it is a bare loop that reads.
    """
    command = [sys.executable, "-c", EPOCH, str(folder), str(n), str(run_length)]
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
    parser.add_argument("--n", type=int, help="images of `model` and `large`")
    parser.add_argument("--rounds", type=int, default=3, help="of `model`")
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

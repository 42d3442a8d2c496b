"""What a commit of `lowmem.Checkpoint` costs beside one by hand, in time and in memory.

    python benchmarks/checkpoint.py                      500 MB, seven pairs
    python benchmarks/checkpoint.py --size 50e6 --pairs 3        tries it

By hand is what careful people write: `numpy.savez` to a temporary file, `fsync`, `rename`, `fsync` of the folder. It
takes no sums and reads nothing back. Both write the same array to the same folder's disk, in pairs whose order
alternates, each in a process of its own. `s` is the median wall time of one save; `ratio` is that of the pairs' times
with their range. `floor` adds to that by hand what any check against silent damage needs: one read for SHA-256 and one
for the archive's own CRC. `MiB` is the growth of the kernel's high-water mark (VmHWM, reset after the array was made)
over what the process held before the save: it has no room for a second array.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

WAYS = ("hand", "floor", "commit")


def by_hand(folder: Path, array: object) -> None:
    """Save as careful people do."""
    import numpy as np

    temporary = folder / "state.npz.tmp"
    with temporary.open("wb") as stream:
        np.savez(stream, x=array)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.rename(folder / "state.npz")
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def checked(folder: Path) -> None:
    """Read back what was saved, as a check against silent damage does."""
    with (folder / "state.npz").open("rb") as stream:
        hashlib.file_digest(stream, "sha256")
    with zipfile.ZipFile(folder / "state.npz") as archive:
        archive.testzip()


def held_mib(field: str) -> float:
    """Return a figure of this process's own, from the kernel."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.partition(f"{field}:")[2].split()[0]) / 1024


def measure(way: str, folder: Path, n_bytes: int) -> None:
    """Save twice, and print seconds and MiB of the second: the first loads libraries."""
    import numpy as np

    import lowmem

    array = np.random.default_rng(0).random(n_bytes // 8)
    small = array[:8]
    with lowmem.Checkpoint(folder / "ckpt") as checkpoint:
        for one in (small, array):
            os.sync()
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            before = held_mib("VmRSS")
            began = time.perf_counter()
            if way == "commit":
                checkpoint.commit({"x": one})
            else:
                by_hand(folder, one)
                if way == "floor":
                    checked(folder)
            seconds = time.perf_counter() - began
    print(seconds, held_mib("VmHWM") - before)


def measured(way: str, size: float) -> tuple[float, float]:
    """Return seconds and MiB of one save, in a fresh process."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        words = [sys.executable, __file__, "--one", way, folder, "--size", str(size)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
    seconds, mib = map(float, done.stdout.split())
    return seconds, mib


def main() -> None:
    """Measure all ways in turns, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=500e6, help="bytes of the array")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        measure(asked.one[0], Path(asked.one[1]), int(asked.size))
        return
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for pair in range(asked.pairs):
        for way in WAYS if pair % 2 else reversed(WAYS):
            found[way].append(measured(way, asked.size))
    print(f"{asked.size / 1e6:.0f} MB, {asked.pairs} pairs")
    print(f"{'way':8}{'s':>8}{'ratio':>8}{'range':>14}{'MiB':>8}")
    for way in WAYS:
        pairs = zip(found[way], found["hand"], strict=True)
        ratios = sorted(one[0] / hand[0] for one, hand in pairs)
        seconds = statistics.median(one[0] for one in found[way])
        ratio, span = statistics.median(ratios), f"{ratios[0]:.2f}-{ratios[-1]:.2f}"
        mib = max(one[1] for one in found[way])
        print(f"{way:8}{seconds:8.2f}{ratio:8.2f}{span:>14}{mib:8.1f}")


if __name__ == "__main__":
    main()

"""What the study of CelebA costs: processor time and memory of each job, from a part of it.

    python benchmarks/celeba.py --images 1000

Packs drawn JPEGs of CelebA's size (178 x 218 pixels, with noise) as `img_align_celeba.zip`,
and runs the five jobs with `--preset celeba` for one epoch, on a fifth of the images and on
all of them. What grows with the images is estimated for all 202,599 and 20 epochs;
processor time is hardly longer where other programs are at work, as seconds are.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ingest import encoded, make_zip

N_CELEBA = 202_599
EPOCHS = 20
MIB = 2**20
JOBS = ("ingest", "train", "encode", "analyze", "generate")
LOWMEM = [sys.executable, "-m", "lowmem"]


def main() -> None:
    """Run the five jobs on two parts, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--ram-budget", default="10G")
    options = parser.parse_args()
    images = encoded(photos=False)
    sizes = (options.images // 5, options.images)
    small, large = (measured(images, n, options.ram_budget) for n in sizes)
    print_table(small, large, sizes[1] - sizes[0])


def measured(images: list[bytes], n: int, budget: str) -> dict[str, tuple]:
    """Return of each job: seconds, processor seconds, peak in bytes."""
    with tempfile.TemporaryDirectory(prefix="lowmem-celeba-") as folder:
        archive, work = Path(folder) / "img_align_celeba.zip", Path(folder) / "work"
        make_zip(archive, images, n)
        more = {"ingest": ["--preset", "celeba", "--source", str(archive)]}
        more["train"] = ["--epochs", "1"]
        times = {}
        for job in JOBS:
            began, before = time.monotonic(), cpu_seconds()
            words = ["--workspace", str(work), "--ram-budget", budget, "--quiet"]
            subprocess.run(
                [*LOWMEM, "run", job, *words, *more.get(job, [])], check=True
            )
            times[job] = time.monotonic() - began, cpu_seconds() - before
        command = [*LOWMEM, "report", str(work), "--json"]
        report = subprocess.run(command, check=True, capture_output=True).stdout
        jobs = json.loads(report)["jobs"]
    return {job: (*times[job], jobs[job]["ram_peak_bytes"]) for job in JOBS}


def cpu_seconds() -> float:
    """Return the processor time of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def print_table(small: dict[str, tuple], large: dict[str, tuple], more: int) -> None:
    """Print what the larger part took, and estimates by what its images added."""
    print(f"{'job':<10}{'seconds':>9}{'CPU s':>8}{'peak MiB':>10}", end="")
    print(f"   CPU ms an image   all images, {EPOCHS} epochs: CPU minutes")
    for job, (seconds, cpu, peak) in large.items():
        each = max(0.0, cpu - small[job][1]) / more
        passes = EPOCHS if job == "train" else 1
        minutes = each * N_CELEBA * passes / 60
        print(f"{job:<10}{seconds:>9.1f}{cpu:>8.1f}{peak / MIB:>10.0f}", end="")
        print(f"{1000 * each:>18.2f}{minutes:>14,.0f}")


if __name__ == "__main__":
    main()

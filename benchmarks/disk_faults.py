"""Every file operation of every job fails in turn: is the last commit always intact.

    python benchmarks/disk_faults.py --every 1        all of them, hours
    python benchmarks/disk_faults.py --every 40       one in forty

The disk says "no space" or "I/O error", once or from then on, at the operation n = 1, 2,
3 ... (open, read, write, fsync, rename, unlink, mkdir, truncate). Each time the job must
end with exit code 74 or not notice; the workspace must open with the last commit intact;
and the same job on a mended disk must end with the results of one that never failed.
"""

from __future__ import annotations

import argparse
import errno
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from lowmem.worker.registry import find_job
from tests.faults import job_sweep

OPTIONS = {
    "ingest": {"source": "faces:150", "size": "16"},
    "train": {"epochs": "1", "filters": "4,8", "latent_dim": "3"},
    "encode": {},
    "analyze": {},
    "generate": {"count": "70"},
}
FAULTS = {
    "full once": (errno.ENOSPC, False),
    "full": (errno.ENOSPC, True),
    "I/O error once": (errno.EIO, False),
    "I/O errors": (errno.EIO, True),
}


def main() -> None:
    """Sweep the jobs in their order and print one row a job and fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=40)
    parser.add_argument("--jobs", default=",".join(OPTIONS))
    chosen = parser.parse_args()
    print(
        f"{'job':9} {'fault':15}{'operations':>11}{'failed at':>10}{'exit 74':>9}{'s':>7}"
    )
    with tempfile.TemporaryDirectory(prefix="lowmem-faults-") as name:
        folder, before = Path(name), Path(name) / "empty"
        before.mkdir()
        for job, options in OPTIONS.items():
            case = job_sweep.prepare(find_job(job), options, before, folder)
            if job in chosen.jobs.split(","):
                sweep(case, folder, chosen.every)
            shutil.rmtree(case.expected / ".lowmem")
            before = case.expected


def sweep(case: job_sweep.Case, folder: Path, every: int) -> None:
    """Sweep one job and print its rows."""
    n_operations = job_sweep.n_operations(case, folder)
    for fault, (number, is_persistent) in FAULTS.items():
        began = time.monotonic()
        places = range(1, n_operations + 1, every)
        codes = job_sweep.sweep(
            case, folder, places, number, is_persistent=is_persistent
        )
        print(
            f"{case.job.name:9} {fault:15}{n_operations:11}{len(places):10}"
            f"{len(codes):9}{time.monotonic() - began:7.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

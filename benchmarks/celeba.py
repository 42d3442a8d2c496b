"""What the study of CelebA costs: time and memory of each job, from a part of it.

    python benchmarks/celeba.py --images 6000

Packs so many JPEGs of CelebA's size (178 x 218 pixels, drawn, with noise) as
`img_align_celeba.zip`, runs the five jobs with `--preset celeba` for one epoch, and
prints what was measured beside an estimate for all 202,599 images: seconds grow with the
images, of `train` with the epochs too; those of `generate`, and the measured peaks, hardly do.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from ingest import encoded, make_zip

N_CELEBA = 202_599
EPOCHS = 20
MIB = 2**20


def main() -> None:
    """Run the five jobs on a part, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=6000)
    options, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="lowmem-celeba-") as folder:
        archive = Path(folder) / "img_align_celeba.zip"
        make_zip(archive, encoded(photos=False), options.images)
        work = Path(folder) / "work"
        words = ["--preset", "celeba", "--source", archive, "--epochs", "1", *more]
        lowmem = [sys.executable, "-m", "lowmem"]
        command = [*lowmem, "run", "all", "--workspace", work, *words]
        subprocess.run([str(word) for word in command], check=True)
        report = subprocess.run(
            [*lowmem, "report", work, "--json"], check=True, capture_output=True
        )
        stores = {
            name: sum(p.stat().st_size for p in (work / name).rglob("*") if p.is_file())
            for name in ("images.zarr", "latents.zarr")
        }
    print_table(json.loads(report.stdout)["jobs"], options.images, stores)


def print_table(jobs: dict[str, dict], n_images: int, stores: dict[str, int]) -> None:
    """Print measured figures, and the estimates that follow from them."""
    whole = N_CELEBA / n_images
    factors = {"train": whole * EPOCHS, "generate": 1.0}
    print(f"{'job':<10}{'seconds':>9}{'peak MiB':>10}   all images, {EPOCHS} epochs")
    for name, job in jobs.items():
        seconds = sum(cycle["seconds"] for cycle in job["cycles"])
        minutes = seconds * factors.get(name, whole) / 60
        peak = job["ram_peak_bytes"] / MIB
        print(f"{name:<10}{seconds:>9.1f}{peak:>10.0f}   {minutes:,.0f} min")
    for name, size in stores.items():
        print(
            f"{name:<13}{size / MIB:>8.0f} MiB; all images {size * whole / 1e9:.2f} GB"
        )


if __name__ == "__main__":
    main()

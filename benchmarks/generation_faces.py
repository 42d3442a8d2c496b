"""Which ways of drawing vectors give faces: a table and a picture, from an empty folder.

    python benchmarks/generation_faces.py                         some 20 minutes
    python benchmarks/generation_faces.py --short                 one minute: no good faces

Draws faces, trains until reconstructions are good, and compares every method of
`generate` with real faces that the training never saw. `/real` is a score over that of
real faces against as many others. Stopped? Give `--workspace` again.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

_LONG = {
    "ingest": ["--source", "faces:12000", "--size", "64"],
    "train": [
        *("--epochs", "24", "--latent-dim", "32", "--validation-split", "0.2"),
        *("--reduce-lr", "2", "--reduce-lr-factor", "0.3", "--keep", "best"),
    ],
    "encode": [],
    "analyze": [],
    "generate": ["--method", "all", "--count", "1000"],
}
_SHORT = {
    "ingest": ["--source", "faces:1500", "--size", "32"],
    "train": ["--epochs", "4", "--latent-dim", "16", "--validation-split", "0.2"],
    "encode": [],
    "analyze": [],
    "generate": ["--method", "all", "--count", "150"],
}
# Grey levels of the small picture lie so far apart.
_TONE_STEP = 8
WHITE = 255


def main() -> None:
    """Run the five jobs and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--ram-budget", default="2G")
    parser.add_argument("--picture", type=Path, help="write the picture here, smaller")
    given = parser.parse_args()
    workspace = given.workspace or Path(tempfile.mkdtemp(prefix="lowmem-")) / "w"
    for job, options in (_SHORT if given.short else _LONG).items():
        begun = time.monotonic()
        run(job, workspace, *options, "--ram-budget", given.ram_budget)
        print(f"{job:<10}{time.monotonic() - begun:8.0f} s   {' '.join(options)}")
    folder = workspace / "generated"
    print_scores(folder)
    if given.picture:
        write_small(folder / "methods.png", given.picture)
    print(f"picture {folder / 'methods.png'}")


def run(job: str, workspace: Path, *options: str) -> None:
    """Run one job, or go on with it."""
    line = [sys.executable, "-m", "lowmem", "run", job, "--workspace", str(workspace)]
    subprocess.run([*line, "--quiet", *options], check=True)


def print_scores(folder: Path) -> None:
    """Print how well the model reconstructs, and a row a method."""
    told = json.loads((folder / "scores.json").read_text())
    of_model = told["reconstruction"]
    print(
        f"\nreconstruction of {of_model['n']} held-out images: "
        f"PSNR {of_model['psnr_db']:.2f} dB, SSIM {of_model['ssim']:.4f}; "
        f"sets of n = {told['frechet']['n']}\n"
    )
    with (folder / "methods.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    real = next(row for row in rows if row["method"] == "real")
    heads = ("frechet", "/real", "trip", "/real", "precis.", "recall")
    heads = (*heads, "density", "cover.", "nearest")
    print(f"{'method':<14}" + "".join(f"{head:>9}" for head in heads))
    for row in rows:
        cells = []
        for name in ("frechet", "round_trip_median"):
            cells += [row[name], ratio(row[name], real[name])]
        cells += [row[name] for name in ("precision", "recall", "density", "coverage")]
        cells.append(row["nearest_median"])
        print(f"{row['method']:<14}" + "".join(f"{text(cell):>9}" for cell in cells))


def ratio(value: str, real: str) -> str:
    """Return a score over the baseline's."""
    return str(float(value) / float(real)) if value else ""


def text(cell: str) -> str:
    """Return a number with three figures."""
    return f"{float(cell):.3g}" if cell else "-"


def write_small(source: Path, target: Path) -> None:
    """Write a picture with fewer tones: half the bytes."""
    with Image.open(source) as picture:
        small = picture.convert("RGB").point(coarse)
    target.parent.mkdir(parents=True, exist_ok=True)
    small.save(target, optimize=True)


def coarse(level: int) -> int:
    """Return the nearest level that is kept; white stays white."""
    return min(-(-(level - _TONE_STEP // 2) // _TONE_STEP) * _TONE_STEP, WHITE)


if __name__ == "__main__":
    main()

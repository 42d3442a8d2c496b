"""The same training, encoding and generating on each backend of Keras, killed at random.

    python benchmarks/backends.py                       every backend that is installed
    python benchmarks/backends.py --backends jax --kills 8 --folder backends

Of each backend the five jobs run once without interruption, then again in a workspace of
the same images, while worker, supervisor or both are killed at moments drawn by chance:
as often as asked for in `train`, and a quarter as often in `encode` and `generate`. Every
published byte and the last state of the training (weights, optimiser, generators) are
held against those of the uninterrupted run of that backend. On the CPU, since no two
backends share a device well. Prints a row of figures for each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from lowmem.base.backends import BACKENDS, VARIABLE, find_backend
from lowmem.base.software import backend_versions, software_versions
from tests.processes import pipeline, storm

# Small enough for seconds, large enough for many commits of every job.
OPTIONS = {
    "ingest": ["--source", "faces:2500", "--size", "32"],
    "train": [
        *("--epochs", "3", "--batch-size", "64", "--filters", "8,16", "--latent-dim"),
        *("8", "--batch-norm", "--early-stopping", "3", "--cycle-steps", "4"),
        # In parts: what gathers their gradients is part of the step, on each backend.
        *("--set", "micro_batch=24"),
    ],
    # Few at once: it would be over before it is killed.
    "encode": ["--cycle-steps", "1", "--batch-size", "2"],
    "analyze": [],
    "generate": ["--count", "1500", "--cycle-steps", "2"],
}
KILLED = ("train", "encode", "generate")
SHARE_OF_OTHERS = 4


@dataclass(slots=True)
class Figures:
    """What one backend showed.

    Attributes
    ----------
    seconds
        What the uninterrupted training took, its start included.
    peak_bytes
        The largest reading of that training.
    """

    kills: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    peak_bytes: int = 0
    n_files: int = 0
    wrong: list[str] = field(default_factory=list)
    weights: str = ""


def main() -> None:
    """Run what was asked for; fail where anything differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", help="such as jax,torch; all that are installed")
    parser.add_argument("--kills", type=int, default=8, help="of the training")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where to work, and to leave it")
    chosen = parser.parse_args()
    names = chosen.backends.split(",") if chosen.backends else installed_backends()
    with tempfile.TemporaryDirectory(prefix="lowmem-") as temporary:
        folder = (chosen.folder or Path(temporary)).absolute()
        found = {}
        for name in names:
            os.environ[VARIABLE] = find_backend({VARIABLE: name}).require()
            draw = np.random.default_rng(chosen.seed)
            found[name] = one_backend(folder / name, chosen.kills, draw)
            print_table({name: found[name]})
    if len(found) > 1:
        print_table(found)
    sys.exit(any(figures.wrong for figures in found.values()))


def installed_backends() -> list[str]:
    """Return those that are installed here."""
    return [name for name in BACKENDS if find_backend({VARIABLE: name}).is_installed]


def one_backend(folder: Path, n_kills: int, draw: np.random.Generator) -> Figures:
    """Run the jobs with and without kills, and compare."""
    shutil.rmtree(folder, ignore_errors=True)
    figures = Figures()
    reference, workspace = folder / "whole", folder / "killed"
    for job in pipeline.JOBS:
        began = time.monotonic()
        line = [sys.executable, "-m", "lowmem", "run", job, *words(job, reference)]
        subprocess.run([*line, "--quiet"], check=True)
        if job == "train":
            figures.seconds = time.monotonic() - began
    for job in pipeline.JOBS:
        one = storm.Storm(
            job=job, workspace=workspace, words=words(job, workspace), draw=draw
        )
        others = n_kills // SHARE_OF_OTHERS if job in KILLED else 0
        one.run(n_kills if job == "train" else others)
        figures.kills[job] = sum(one.kills.values())
    figures.wrong = storm.audit(workspace, reference)
    sums = storm.sums(workspace)
    figures.n_files, figures.weights = len(sums), sums["model/autoencoder.keras"]
    figures.peak_bytes = storm.jobs_of(reference)["train"].ram_peak_bytes or 0
    return figures


def words(job: str, workspace: Path) -> list[str]:
    """Return the options of one job's command."""
    space = ["--workspace", str(workspace), "--ram-budget", "2G", "--device", "cpu"]
    return [*OPTIONS[job], *space]


def print_table(found: dict[str, Figures]) -> None:
    """Print a row for each backend, and what differed."""
    python = software_versions({})["python"]
    keras = software_versions({})["keras"]
    print(f"\nPython {python}, Keras {keras}; weights: SHA-256 of autoencoder.keras")
    heads = "".join(f"{f'kills {job}':>16}" for job in KILLED)
    print(f"{'backend':22}{heads}{'files':>7}{'differ':>8}  {'weights':18}", end="")
    print(f"{'seconds':>8}{'peak MiB':>10}")
    for name, one in found.items():
        version = " ".join(list(backend_versions(name).values())[:1])
        counts = "".join(f"{one.kills[job]:16}" for job in KILLED)
        print(f"{f'{name} {version}':22}{counts}{one.n_files:7}", end="")
        print(f"{len(one.wrong):8}  {one.weights[:16]:18}", end="")
        print(f"{one.seconds:8.1f}{one.peak_bytes / 2**20:10.0f}")
        for line in one.wrong[:20]:
            print(f"  {line}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

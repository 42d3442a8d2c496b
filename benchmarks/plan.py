"""What `lowmem plan` predicts, beside the peak that the run then has.

    python benchmarks/plan.py                 every job, some 10 minutes on two cores
    python benchmarks/plan.py train encode    some of them
    python benchmarks/plan.py third           training at a budget a third below its need

Every plan is made before any run, by trials that no workspace remembers. The peak is
then read every 5 ms by this process: anonymous and shared memory of the run's whole
tree, the supervisor included. `report` is the peak that the run itself reports, `formula`
what the job's formula alone would have said, `plan s` what planning took.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.memory.process_tree import TreeSampler

if TYPE_CHECKING:
    from collections.abc import Iterator

MB = 1e6
BUDGET = "6G"
INTERVAL_S = 0.005
MODELS = {
    "small": ("--filters", "16,32,64", "--latent-dim", "32"),
    "middle": ("--filters", "32,64,128,256", "--latent-dim", "64"),
    "large": ("--filters", "64,128,256,512", "--latent-dim", "256"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row: a command in a workspace."""

    title: str
    job: str
    workspace: Path
    words: tuple[str, ...] = ()


def main() -> None:
    """Print the rows of the jobs that are named, or of all."""
    wanted = sys.argv[1:] or [
        "ingest",
        "train",
        "encode",
        "analyze",
        "generate",
        "third",
    ]
    with tempfile.TemporaryDirectory(prefix="lowmem-plan-") as folder:
        root = Path(folder)
        header = ("", "plan MB", "peak MB", "ratio", "report", "formula", "plan s")
        print_row(*header)
        for name in wanted:
            if name != "third":
                for case in CASES[name](root):
                    show(case)
        if "third" in wanted:
            a_third_less(root)


def print_row(title: str, *values: str) -> None:
    """Print one row."""
    print(f"{title:<34}" + "".join(f"{value:>9}" for value in values), flush=True)


# --- the cases --------------------------------------------------------------------


def training_cases(root: Path) -> Iterator[Case]:
    """Three sizes of the model, two of the batch."""
    for name, side in (("small", 64), ("middle", 64), ("large", 96)):
        for batch in (32, 128):
            yield Case(
                title=f"train, {name} model, batch {batch}",
                job="train",
                workspace=images(root, f"train-{name}-{batch}", n=384, side=side),
                words=(*MODELS[name], "--epochs", "1", "--batch-size", str(batch)),
            )


def ingest_cases(root: Path) -> Iterator[Case]:
    """Draw faces; decode photographs of 2 megapixels."""
    yield Case(
        title="ingest, drawn faces",
        job="ingest",
        workspace=root / "drawn",
        words=("--source", "faces:1000", "--size", "64"),
    )
    source = photographs(root / "photographs")
    yield Case(
        title="ingest, photographs",
        job="ingest",
        workspace=root / "decoded",
        words=("--source", str(source)),
    )


def encode_cases(root: Path) -> Iterator[Case]:
    """Two models, trained on a few images."""
    for name, side in (("middle", 64), ("large", 96)):
        yield Case(
            title=f"encode, {name} model",
            job="encode",
            workspace=trained(root, f"encode-{name}", name, n=2048, side=side),
        )


def analyze_cases(root: Path) -> Iterator[Case]:
    """Vectors of 64 and of 256 components."""
    import numpy as np

    for d in (64, 256):
        file = root / f"vectors-{d}.npy"
        np.save(file, np.random.default_rng(1).normal(size=(8000, d)).astype("f4"))
        yield Case(
            title=f"analyze, {d} components",
            job="analyze",
            workspace=root / f"analyze-{d}",
            words=("--latents", str(file), "--pairs", "300"),
        )


def generate_cases(root: Path) -> Iterator[Case]:
    """Draw from a model of each size."""
    for name, side in (("middle", 64), ("large", 96)):
        space = trained(root, f"generate-{name}", name, n=1024, side=side)
        run("encode", space)
        run("analyze", space, "--no-figures", "--pairs", "50")
        yield Case(
            title=f"generate, {name} model",
            job="generate",
            workspace=space,
            words=("--count", "512"),
        )


CASES = {
    "ingest": ingest_cases,
    "train": training_cases,
    "encode": encode_cases,
    "analyze": analyze_cases,
    "generate": generate_cases,
}


def images(root: Path, name: str, *, n: int, side: int) -> Path:
    """Return a workspace with drawn faces."""
    space = root / name
    run("ingest", space, "--source", f"faces:{n}", "--size", str(side))
    return space


def trained(root: Path, name: str, model: str, *, n: int, side: int) -> Path:
    """Return a workspace with images, and a model that saw a few others."""
    few = images(root, f"{name}-few", n=64, side=side)
    run("train", few, *MODELS[model], "--epochs", "1")
    space = images(root, name, n=n, side=side)
    (few / "model").rename(space / "model")
    return space


def photographs(folder: Path) -> Path:
    """Write 60 JPEG files of 1600 x 1200 pixels."""
    import numpy as np
    from PIL import Image

    folder.mkdir()
    for seed in range(60):
        coarse = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
        picture = Image.fromarray(coarse).resize((1600, 1200), Image.Resampling.BICUBIC)
        picture.save(folder / f"{seed:03}.jpg", quality=90)
    return folder


# --- commands ---------------------------------------------------------------------


def command(word: str, job: str, space: Path, *words: str) -> list[str]:
    """Return a command line of lowmem."""
    given = words if "--ram-budget" in words else (*words, "--ram-budget", BUDGET)
    line = [sys.executable, "-m", "lowmem", word, job, "--workspace", str(space)]
    return [*line, *given]


def run(job: str, space: Path, *words: str) -> None:
    """Run a job whose peak is not asked for."""
    subprocess.run(command("run", job, space, *words, "--quiet"), check=True)


def show(case: Case) -> None:
    """Plan, run, and print a row."""
    began = time.monotonic()
    planned = subprocess.run(
        command("plan", case.job, case.workspace, *case.words, "--json"),
        check=True,
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - began
    (plan,) = json.loads(planned.stdout)["plans"]
    # Its trials must not be remembered by the run, nor need they be: there is room.
    peak = watched(command("run", case.job, case.workspace, *case.words, "--quiet"))
    report = report_of(case.workspace)["jobs"][case.job]
    formula = plan["ladder"][0].get("formula_ram_peak_bytes")
    print_row(
        case.title,
        f"{plan['ram_peak_bytes'] / MB:.0f}",
        f"{peak / MB:.0f}",
        f"{plan['ram_peak_bytes'] / peak:.3f}",
        f"{report['ram_peak_bytes'] / MB:.0f}",
        f"{formula / MB:.0f}" if formula else "-",
        f"{seconds:.1f}",
    )


def watched(line: list[str]) -> int:
    """Run a command and return its peak, read at a fixed short interval."""
    process = subprocess.Popen(line)
    peak = 0
    # Files on tmpfs are left out: these jobs write none, but other programs may.
    with TreeSampler(process.pid) as tree:
        done = threading.Event()
        while process.poll() is None:
            found = tree.read()
            peak = max(peak, found.ram_bytes - found.unmapped_bytes)
            done.wait(INTERVAL_S)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, line)
    return peak


def report_of(space: Path) -> dict:
    """Return the report of a workspace."""
    line = [sys.executable, "-m", "lowmem", "report", str(space), "--json"]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


# --- a budget a third below the need ----------------------------------------------


def a_third_less(root: Path) -> None:
    """Train with room, then with a third less than that took; compare the losses."""
    for model, side, batch, n in (("middle", 64, 512, 1152), ("large", 96, 256, 320)):
        words = (*MODELS[model], "--epochs", "2", "--batch-size", str(batch))
        print(f"\n{model} model, {side} pixels, batch {batch}")
        roomy = trained_within(root, f"{model}-roomy", BUDGET, words, n, side)
        budget = str(roomy.peak * 2 // 3)
        tight = trained_within(root, f"{model}-tight", budget, words, n, side)
        pairs = zip(roomy.losses, tight.losses, strict=True)
        largest = max(abs(a - b) / a for a, b in pairs)
        print(f"  largest relative difference of the loss: {largest:.1e}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a training took and reached."""

    peak: int
    losses: list[float]


def trained_within(
    root: Path, name: str, budget: str, words: tuple[str, ...], n: int, side: int
) -> Trained:
    """Train within a budget, and say what happened."""
    space = images(root, name, n=n, side=side)
    line = command("run", "train", space, *words, "--ram-budget", budget, "--quiet")
    peak = watched(line)
    report = report_of(space)["jobs"]["train"]
    with (space / "model" / "history.csv").open() as stream:
        losses = [float(row["loss"]) for row in csv.DictReader(stream)]
    micro_batches = {cycle["settings"]["micro_batch"] for cycle in report["cycles"]}
    print(
        f"  budget {report['budgets']['ram_bytes'] / MB:.0f} MB, "
        f"peak {peak / MB:.0f} MB, micro-batch {sorted(micro_batches)}, "
        f"{report['attempts']} workers, loss by epoch "
        + ", ".join(f"{loss:.8f}" for loss in losses),
        flush=True,
    )
    return Trained(peak=peak, losses=losses)


if __name__ == "__main__":
    main()

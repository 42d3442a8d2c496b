"""Models as people bring them, at a budget that needs the third rung, beside plain Keras.

    python benchmarks/models.py                all
    python benchmarks/models.py vae nested     some of them

Of each model `plan` tells what the rungs of its ladder need: whole batches of 128 images,
halves, quarters. The budget is set between the second and the third. Under it the model
is trained, killed (SIGKILL to the supervisor) and run again to the end, encoded, analysed
and generated from. `unbroken` compares the SHA-256 of its files with those of a training
that nobody killed. `from fit` is the distance of its weights from those that
`models_fit.py`, which knows no lowmem, ends with on whole batches, as a share of the way
that they went. `encode` is the largest difference from its vectors, over their standard
deviation; `generate` that of the drawn images, in levels of 255. A model that is refused
shows its exit code, the cycles that were done, and why.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import users_models
import zarr
from models_fit import BATCH, LATENT_DIM, SEED, weights_of

import lowmem

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE, N_IMAGES, EPOCHS = 96, 300, 4
N_STEPS = EPOCHS * -(-N_IMAGES // BATCH)
KILLED_AFTER, N_DRAWN = 5, 8
# What rounding makes of a training in single precision: most of it with `mae`, whose
# gradient is a sum of signs.
EQUAL = 2e-3
COMMON = ("--device", "cpu", "--seed", str(SEED))
TRAINING = (
    "--latent-dim", str(LATENT_DIM), "--batch-size", str(BATCH), "--epochs", str(EPOCHS),
    "--validation-split", "0",
)  # fmt: skip
HERE = Path(__file__).parent.resolve()
HEAD = (
    "model", "budget", "micro-batch", "peak", "killed after", "unbroken", "from fit",
    "encode", "generate",
)  # fmt: skip


@dataclass
class Budget:
    """What the last model that could be planned was given: for those that cannot."""

    text: str = "470M"


def main() -> None:
    """Print a row a model."""
    names = sys.argv[1:] or users_models.NAMES
    print(*_lines(HEAD), sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        # Its own words, where the same folder and names mean something else to nobody.
        os.environ["XDG_STATE_HOME"] = folder
        os.chdir(HERE)
        base, budget = Path(folder) / "base", Budget()
        run(base, "2G", "ingest", "--source", f"faces:{N_IMAGES}", "--size", str(SIDE))
        for name in names:
            cells = row(name, base, Path(folder) / name, budget)
            print(f"| {' | '.join([name, *cells])} |", flush=True)


def _lines(cells: tuple[str, ...]) -> list[str]:
    return [f"| {' | '.join(cells)} |", "|" + "---|" * len(cells)]


def row(name: str, base: Path, folder: Path, budget: Budget) -> list[str]:
    """Take one model all the way."""
    space, other = folder / "killed", folder / "unbroken"
    shutil.copytree(base, space)
    words = ("train", "--model", f"users_models:{name}", *TRAINING)
    budget.text = third_rung_of(space, words) or budget.text
    shutil.copytree(space, other)
    n_commits = killed(space, budget.text, words)
    ended = run(space, budget.text, *words)
    if ended.returncode:
        text = " ".join(ended.stderr.split())
        why = text.partition("failed: ")[2] or text
        told = f"refused ({ended.returncode}) after {commits(space)} steps: {why}"
        return [budget.text, told, *[""] * (len(HEAD) - 3)]
    run(other, budget.text, *words)
    later = [
        run(space, budget.text, *job).returncode
        for job in (("encode",), ("analyze",), ("generate", "--count", str(N_DRAWN)))
    ]
    report = json.loads(lowmem_of("report", str(space), "--json").stdout)
    train = report["jobs"]["train"]
    sizes = {cycle["settings"]["micro_batch"] for cycle in train["cycles"]}
    return [
        budget.text,
        ", ".join(map(str, sorted(sizes))),
        f"{train['ram_peak_bytes'] / 1e6:.0f} MB",
        f"{n_commits} of {N_STEPS} steps",
        "equal" if results(space) == results(other) else "DIFFERS",
        *(beside_fit(name, space, folder) if not any(later) else [f"exit {later}"]),
    ]


def third_rung_of(space: Path, words: tuple[str, ...]) -> str | None:
    """Return a budget that holds the third rung and not the second; None if refused."""
    planned = lowmem_of("plan", *words, *options(space, "3G"), "--json")
    if planned.returncode:
        return None
    ladder = json.loads(planned.stdout)["plans"][-1]["ladder"]
    peaks = [rung["ram_peak_bytes"] for rung in ladder[1:3]]
    # One that refuses parts of a batch has one rung; of one that ends at once none is known.
    if len(peaks) < 2 or None in peaks:
        return None
    return f"{sum(peaks) / 2e6:.0f}M"


def options(space: Path, budget: str) -> list[str]:
    """Return what every command takes."""
    return ["--workspace", str(space), "--ram-budget", budget, *COMMON]


def lowmem_of(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "lowmem", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def run(space: Path, budget: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a job to its end."""
    return lowmem_of("run", *words, *options(space, budget), "--quiet")


def killed(space: Path, budget: str, words: tuple[str, ...]) -> int:
    """Start a training and kill it after some commits; return how many there were."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "lowmem", "run", *words, "--cycle-steps", "1",
            *options(space, budget), "--quiet",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and commits(space) < KILLED_AFTER:
        time.sleep(0.02)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return commits(space)


def commits(space: Path) -> int:
    """Return how many cycles of the training were committed."""
    journal = space / ".lowmem" / "journal.jsonl"
    if not journal.exists():
        return 0
    lines = journal.read_text(encoding="utf-8", errors="replace").splitlines()
    words = ('"CycleEnded"', '"job":"train"', '"outcome":"committed"')
    return sum(all(word in line for word in words) for line in lines)


def results(space: Path) -> dict[str, str]:
    """Return the SHA-256 of all that the training made."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted((space / "model").iterdir())
    }


def beside_fit(name: str, space: Path, folder: Path) -> list[str]:
    """Return how far weights, vectors and images are from those of plain Keras."""
    images = zarr.open_group(space / "images.zarr", mode="r")["images"][:]
    np.save(folder / "given.npy", order_of(space))
    np.save(folder / "images.npy", images)
    shutil.copy(space / "generated" / "z.npy", folder / "z.npy")
    subprocess.run(
        [sys.executable, HERE / "models_fit.py", name, folder],
        check=True, capture_output=True,
    )  # fmt: skip
    fitted = np.load(folder / "fitted.npz")
    far = distance(space, fitted)
    z = zarr.open_group(space / "latents.zarr", mode="r")["z"][:]
    spread = np.abs(z - fitted["z"]).max() / fitted["z"].std()
    drawn = zarr.open_group(space / "generated" / "images.zarr", mode="r")["images"]
    levels = np.rint(255 * fitted["decoded"].astype(np.float64).clip(0, 1))
    off = np.abs(drawn[:] - levels).max()
    told = f"equal, {far:.0e}" if far < EQUAL else f"differs, {far:.0e}: {note(space)}"
    return [told, f"{spread:.0e}", f"{off:.0f}"]


def order_of(space: Path) -> NDArray[Any]:
    """Return the images of all epochs as they are trained on."""
    epochs = []
    for epoch in range(EPOCHS):
        data = lowmem.ZarrSequence(
            space / "images.zarr", batch_size=BATCH, seed=SEED, epoch=epoch
        )
        epochs.append(np.concatenate([data.batch(n) for n in range(len(data))]))
        data.close()
    return np.stack(epochs)


def distance(space: Path, fitted: Any) -> float:  # noqa: ANN401 - an archive of arrays
    """Return how far the weights are from the fitted ones, over the way that those went."""
    from lowmem_jobs.model.encoder import read_model

    trained = weights_of(read_model(space / "model" / "autoencoder.keras"))
    begun, ended = (
        [fitted[key] for key in sorted(fitted.files) if key.startswith(which)]
        for which in ("begun", "ended")
    )
    return norm_of(trained, ended) / norm_of(begun, ended)


def norm_of(some: list[NDArray[Any]], others: list[NDArray[Any]]) -> float:
    """Return the Euclidean distance of all values together."""
    pairs = zip(some, others, strict=True)
    squares = [np.square(np.subtract(a, b, dtype=np.float64)).sum() for a, b in pairs]
    return float(np.sqrt(sum(squares)))


def note(space: Path) -> str:
    """Return what the report says of the micro-batches."""
    told = " ".join(lowmem_of("report", str(space)).stdout.split())
    found = re.findall(r"from step .*? with more memory", told)
    return found[0] if found else ""


if __name__ == "__main__":
    main()

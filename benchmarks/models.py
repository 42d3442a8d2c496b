"""Models as people bring them, on the third rung, beside what plain Keras' `fit` makes.

    python benchmarks/models.py                all, some 10 minutes on two cores
    python benchmarks/models.py vae nested     some of them

Each is trained in micro-batches of a quarter of its batch (``--set micro_batch=4``, the
third rung), killed after some commits (SIGKILL to the supervisor), run again to the end,
then encoded, analysed and generated from. `weights` and `loss` are the largest differences
from `fit` on whole batches of the same order in a process of its own, `latents` that of
the vectors from its encoder. A model that is refused shows the first words of why.
"""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import users_models
import zarr

import lowmem
from lowmem.training.session import keras_session
from lowmem_jobs.model.encoder import read_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SHAPE, LATENT_DIM, BATCH, EPOCHS, SEED = (32, 32, 3), 4, 16, 4, 1
N_IMAGES = 72  # The last batch of an epoch has 8.
COMMON = ("--ram-budget", "3G", "--device", "cpu", "--quiet", "--seed", str(SEED))
TRAINING = (
    "--latent-dim", str(LATENT_DIM), "--batch-size", str(BATCH), "--epochs", str(EPOCHS),
    "--validation-split", "0", "--set", "micro_batch=4", "--cycle-steps", "1",
)  # fmt: skip
HERE = Path(__file__).parent


def main() -> None:
    """Print a row a model."""
    if sys.argv[1:2] == ["fit"]:
        compare(sys.argv[2], Path(sys.argv[3]))
        return
    names = sys.argv[1:] or users_models.NAMES
    print(
        "| model | trained, killed, resumed | weights | loss | latents | later jobs |"
    )
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder) / "base"
        run(base, "ingest", "--source", f"faces:{N_IMAGES}", "--size", "32")
        for name in names:
            space = Path(folder) / name
            shutil.copytree(base, space)
            print(row(name, space), flush=True)


def row(name: str, space: Path) -> str:
    """Take one model all the way."""
    words = ("train", "--model", f"users_models:{name}", *TRAINING)
    n_commits = killed(space, words)
    ended = run(space, *words)
    if ended.returncode:
        why = " ".join(ended.stderr.split()).partition(": model ")[2][:90]
        return f"| {name} | refused ({ended.returncode}): {why} | | | | |"
    later = ["encode", "analyze", ("generate", "--count", "8")]
    codes = [run(space, *([j] if isinstance(j, str) else j)).returncode for j in later]
    found = subprocess.run(
        [sys.executable, __file__, "fit", name, str(space)],
        capture_output=True, text=True, check=True, cwd=HERE,
    )  # fmt: skip
    latents, weights, loss = found.stdout.split()[-3:]
    told = "done" if not any(codes) else f"exit {codes}"
    return (
        f"| {name} | at {n_commits} commits | {weights} | {loss} | {latents} | {told} |"
    )


def run(space: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a job to its end."""
    return subprocess.run(
        command(space, words), capture_output=True, text=True, check=False, cwd=HERE
    )


def command(space: Path, words: tuple[str, ...]) -> list[str]:
    """Return the command line of a job."""
    start = [sys.executable, "-m", "lowmem", "run", *words]
    return [*start, "--workspace", str(space), *COMMON]


def killed(space: Path, words: tuple[str, ...]) -> int:
    """Start a training and kill it after some commits; return how many there were."""
    journal = space / ".lowmem" / "journal.jsonl"
    process = subprocess.Popen(
        command(space, words), cwd=HERE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while process.poll() is None and commits(journal) < 7:
        time.sleep(0.05)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return commits(journal)


def commits(journal: Path) -> int:
    """Return how many cycles of the training were committed."""
    if not journal.exists():
        return 0
    lines = journal.read_text(encoding="utf-8", errors="replace").splitlines()
    return sum('"CycleEnded"' in line and '"train"' in line for line in lines)


def compare(name: str, space: Path) -> None:
    """Print the differences from `fit`: of the latents, the weights, the losses."""
    with keras_session(seed=SEED):
        model = getattr(users_models, name)(input_shape=SHAPE, latent_dim=LATENT_DIM)
        report = model.fit(
            batches(space), epochs=EPOCHS, steps_per_epoch=-(-N_IMAGES // BATCH),
            verbose=0,
        )  # fmt: skip
        fitted = [v.numpy() for v in model.weights if "seed" not in v.path]
        inner = model.get_layer("enc") if name == "nested" else model
        encoder = keras.Model(inner.inputs, inner.get_layer("z").output)
        images = zarr.open_group(space / "images.zarr", mode="r")["images"][:]
        z = encoder.predict_on_batch(images)
    trained = read_model(space / "model" / "autoencoder.keras")
    weights = [v.numpy() for v in trained.weights if "seed" not in v.path]
    with (space / "model" / "history.csv").open(encoding="utf-8") as stream:
        losses = [float(line["loss"]) for line in csv.DictReader(stream)]
    stored = space / "latents.zarr"
    latents = "-"
    if stored.exists():
        latents = f"{np.abs(zarr.open_group(stored, mode='r')['z'][:] - z).max():.1e}"
    far = max(np.abs(a - b).max() for a, b in zip(weights, fitted, strict=True))
    loss = np.abs(np.subtract(losses, report.history["loss"])).max()
    print(latents, f"{far:.1e}", f"{loss:.1e}")


def batches(space: Path) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield the batches of the training, with targets in 0..1."""
    for epoch in range(EPOCHS):
        data = lowmem.ZarrSequence(
            space / "images.zarr", batch_size=BATCH, seed=SEED, epoch=epoch
        )
        for number in range(len(data)):
            x = data.batch(number)
            yield x, x.astype(np.float32) / np.float32(255)


if __name__ == "__main__":
    main()

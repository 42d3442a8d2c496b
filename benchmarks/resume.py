"""A training killed once: Keras' BackupAndRestore beside lowmem, and what a commit costs.

    python benchmarks/resume.py                        2,000 faces of 32 pixels, 4 epochs
    python benchmarks/resume.py --commits-only         only the cost of commits, defaults

Both train the same model (with dropout) on the same images, keep their state every N
steps, are killed by SIGKILL in the middle of an epoch, and are started again. Printed are
the largest difference of any weight from the uninterrupted run of the same side, the steps
the optimiser counts, and the seconds that the kill cost, the start of a process included.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = """
import keras

def build(input_shape, latent_dim):
    layers = keras.layers
    inputs = keras.Input(input_shape, dtype="uint8")
    x = layers.Rescaling(1 / 255)(inputs)
    for filters in (16, 32, 64):
        x = layers.Conv2D(filters, 3, 2, "same", activation="relu")(x)
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    z = layers.Dense(latent_dim, name="z")(x)
    side = input_shape[0] // 8
    x = layers.Reshape((side, side, 64))(layers.Dense(side * side * 64)(z))
    for filters in (32, 16, 3):
        x = layers.Conv2DTranspose(filters, 3, 2, "same", activation="relu")(x)
    model = keras.Model(inputs, x)
    model.compile("adam", "mse")
    return model
"""
# What a person writes with Keras alone; `fit` shuffles by NumPy's global generator.
KERAS = """
import sys, keras, numpy as np, zarr
from model import build
folder, epochs, batch, every = sys.argv[1], *map(int, sys.argv[2:5])
keras.utils.set_random_seed(1)
x = zarr.open_group(folder + "/data/images.zarr", mode="r")["images"][:]
model = build(x.shape[1:], 32)

class Tell(keras.callbacks.Callback):
    n = 0
    def on_train_batch_end(self, batch, logs=None):
        self.n += 1
        open(sys.argv[5], "w").write(str(self.n))

model.fit(x, x.astype("float32") / 255, batch, epochs, verbose=0, callbacks=[
    keras.callbacks.BackupAndRestore(sys.argv[6], save_freq=every), Tell()])
names = {f"{i:04d}": np.asarray(w) for i, w in enumerate(model.get_weights())}
np.savez(sys.argv[7], steps=int(model.optimizer.iterations.numpy()), **names)
"""


def main() -> None:
    """Run both sides with and without a kill, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--save-freq", type=int, default=21)
    parser.add_argument("--commits-only", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lowmem-resume-") as name:
        folder = Path(name)
        ingest(folder / "data", chosen)
        if not chosen.commits_only:
            (folder / "model.py").write_text(MODEL)
            (folder / "side.py").write_text(KERAS)
            compare(folder, chosen)
        commits(folder, chosen)


def ingest(workspace: Path, chosen: argparse.Namespace) -> None:
    """Draw the images once, for both sides."""
    options = ["--source", f"faces:{chosen.images}", "--size", str(chosen.size)]
    lowmem("ingest", workspace, *options)


def lowmem(job: str, workspace: Path, *words: str, cwd: Path | None = None) -> None:
    """Run one job to its end."""
    subprocess.run(line(job, workspace, *words), check=True, cwd=cwd)


def line(job: str, workspace: Path, *words: str) -> list[str]:
    """Return the command of a job."""
    start = [sys.executable, "-m", "lowmem", "run", job, "--quiet"]
    return [*start, "--ram-budget", "3G", "--workspace", str(workspace), *words]


def compare(folder: Path, chosen: argparse.Namespace) -> None:
    """Print how both sides end after a kill, beside their own uninterrupted runs."""
    # In the middle of the second epoch, and of what is done between two saves.
    n_saves = round(1.5 * chosen.images / chosen.batch_size / chosen.save_freq)
    kill_at = n_saves * chosen.save_freq + chosen.save_freq // 2
    print(f"killed after {kill_at} steps; state kept every {chosen.save_freq}")
    print(f"{'':22}{'steps':>8}{'expected':>10}{'largest dw':>13}{'lost s':>9}")
    for name, side in (("Keras BackupAndRestore", keras_side), ("lowmem", lowmem_side)):
        whole, steps, seconds = side(folder, chosen, "whole", None)
        cut, cut_steps, cut_seconds = side(folder, chosen, "cut", kill_at)
        gap = max(float(np.abs(a - b).max()) for a, b in zip(whole, cut, strict=True))
        lost = cut_seconds - seconds
        print(f"{name:22}{cut_steps:8}{steps:10}{gap:13.3g}{lost:9.1f}")


Ended = tuple[list[np.ndarray], int, float]


def keras_side(
    folder: Path, chosen: argparse.Namespace, name: str, kill_at: int | None
) -> Ended:
    """Train by `fit`; return weights, steps of the optimiser, and seconds."""
    counter, out = folder / f"{name}.count", folder / f"{name}.npz"
    numbers = map(str, (chosen.epochs, chosen.batch_size, chosen.save_freq))
    command = [sys.executable, "side.py", str(folder), *numbers, str(counter)]
    command += [str(folder / f"{name}-backup"), str(out)]

    def done() -> int:
        text = counter.read_text() if counter.exists() else ""
        return int(text or 0)

    seconds = run_and_kill(command, folder, done, kill_at)
    with np.load(out) as arrays:
        weights = [arrays[key] for key in sorted(arrays) if key != "steps"]
        return weights, int(arrays["steps"]), seconds


def lowmem_side(
    folder: Path, chosen: argparse.Namespace, name: str, kill_at: int | None
) -> Ended:
    """Train by `lowmem run train`; return the same."""
    workspace = folder / f"lowmem-{name}"
    words = ["--data", str(folder / "data" / "images.zarr"), "--model", "model:build"]
    words += ["--epochs", str(chosen.epochs), "--batch-size", str(chosen.batch_size)]
    words += ["--validation-split", "0", "--latent-dim", "32"]
    words += ["--cycle-steps", str(chosen.save_freq)]

    def done() -> int:
        # Commits that the journal knows, and half the time of one after the last.
        journal = workspace / ".lowmem" / "journal.jsonl"
        text = journal.read_text() if journal.exists() else ""
        seconds = re.findall(r'"committed".*?"seconds":([0-9.]+)', text)
        if kill_at and len(seconds) >= kill_at // chosen.save_freq:
            time.sleep(float(seconds[-1]) / 2)
            return kill_at
        return 0

    command = line("train", workspace, *words)
    seconds = run_and_kill(command, folder, done, kill_at)
    (steps,) = (v for k, v in last_state(workspace).items() if k.endswith("/iteration"))
    return published_weights(workspace), int(steps), seconds


def published_weights(workspace: Path) -> list[np.ndarray]:
    """Return the weights of the published model, in the order of their names."""
    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(workspace / "model" / "autoencoder.keras") as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == np.float32:
            found[name] = item[()]

    with h5py.File(content, "r") as weights:
        weights.visititems(visit)
    return [found[name] for name in sorted(found)]


def last_state(workspace: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the newest checkpoint that has any."""
    folder = workspace / ".lowmem" / "jobs" / "train" / "checkpoints"
    newest = max(folder.glob("gen-*/state.npz"))
    with np.load(newest) as arrays:
        return dict(arrays)


def run_and_kill(
    command: list[str], cwd: Path, done: Callable[[], int], kill_at: int | None
) -> float:
    """Run a command to its end, killed once on the way; return the seconds of it all."""
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    began = time.monotonic()
    if kill_at is not None:
        first = subprocess.Popen(command, cwd=cwd, env=quiet)
        while done() < kill_at and first.poll() is None:
            time.sleep(0.01)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    subprocess.run(command, check=True, cwd=cwd, env=quiet)
    return time.monotonic() - began


def commits(folder: Path, chosen: argparse.Namespace) -> None:
    """Print what commits cost at default settings, where their moments are chosen."""
    workspace = folder / "defaults"
    data = str(folder / "data" / "images.zarr")
    lowmem("train", workspace, "--data", data, "--epochs", str(chosen.epochs))
    report = subprocess.run(
        [sys.executable, "-m", "lowmem", "report", str(workspace), "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    cycles = json.loads(report.stdout)["jobs"]["train"]["cycles"]
    spent = sum(cycle["seconds"] for cycle in cycles)
    kept = sum(cycle["commit_seconds"] or 0 for cycle in cycles)
    print(
        f"commits at default settings: {len(cycles)} in {spent:.0f} s of training, "
        f"{kept:.2f} s = {kept / spent:.2%}"
    )


if __name__ == "__main__":
    main()

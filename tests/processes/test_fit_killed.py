"""A script or a cell with `lowmem.fit` that is killed ends with the bits of one that is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.processes.lowmem_runs import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.keras, pytest.mark.slow]

# As a cell of a notebook would hold it: all of it is run again. Weights are not seeded, so
# that a process which begins anew would show. Each step tells that it is done.
SCRIPT = """
import hashlib, os, sys
import keras
import numpy as np
import lowmem

class Told(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        print("step", flush=True)

rng = np.random.default_rng(1)
x, y = rng.normal(size=(60, 5)).astype("float32"), rng.integers(0, 2, size=60)
seed = os.environ.get("SEED")
if seed:
    keras.utils.set_random_seed(int(seed))
model = keras.Sequential([
    keras.Input((5,)), keras.layers.Dense(8, activation="relu"),
    keras.layers.BatchNormalization(), keras.layers.Dropout(0.3), keras.layers.Dense(2),
])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile("adam", loss, metrics=["accuracy"])
stopping = keras.callbacks.EarlyStopping(patience=9, restore_best_weights=True)
with lowmem.budget("4G"):
    history = lowmem.fit(
        model, x, y, epochs=4, batch_size=6, validation_split=0.2, workspace="work",
        every_steps=3, verbose=0, callbacks=[stopping, Told()],
    )
weights = b"".join(one.tobytes() for one in model.get_weights())
print("end", hashlib.sha256(weights).hexdigest(), sorted(history.history.items()))
"""
STEPS = 4 * 8


def started(folder, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def killed_after(n_steps, folder, **environment):
    """Kill a run once it has told of so many steps; return how many it has told."""
    process = started(folder, **environment)
    told = 0
    for line in process.stdout:
        told += line == "step\n"
        if told == n_steps:
            os.kill(process.pid, signal.SIGKILL)
            break
    told += process.stdout.read().count("step\n")
    process.stdout.close()
    process.wait(PATIENCE_S)
    return told


def ended(folder, **environment):
    told, _ = started(folder, **environment).communicate()
    *steps, end = told.splitlines()
    return steps.count("step"), end


def test_a_cell_killed_twice_ends_with_the_bits_of_one_that_was_not(tmp_path):
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    first = killed_after(4, tmp_path / "killed", SEED="1")
    # Without the seed: what the first process began with is in its first commit.
    second = killed_after(11, tmp_path / "killed")
    third, end = ended(tmp_path / "killed")
    _, expected = ended(tmp_path / "whole", SEED="1")
    assert expected.startswith("end ")
    assert end == expected
    # Each kill costs at most the steps between two commits.
    assert STEPS <= first + second + third <= STEPS + 2 * 3

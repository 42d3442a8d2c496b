# ruff: noqa: S311 - where it is killed is left to chance
"""Loops that are killed end with the bits of loops that were never stopped."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.processes.lowmem_runs import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Gradient steps on data that it draws, with momentum in place and a log that grows. Each
# commit is told once it is made.
NUMPY = """
import random, sys
import numpy as np
import lowmem

rng, weights, speed = np.random.default_rng(1), np.zeros((300, 7)), np.zeros((300, 7))
with lowmem.Checkpoint("ckpt") as checkpoint:
    state = checkpoint.restore(
        {"step": 0, "w": weights, "v": speed, "rng": rng, "python": random, "log": []}
    )
    weights, speed, log = state["w"], state["v"], state["log"]
    if not state["step"]:
        random.seed(5)
    for step in range(state["step"], 240):
        noise = rng.normal(size=weights.shape) * random.random()
        speed *= 0.9
        speed -= 0.1 * (weights - noise)
        weights += speed
        log.append(float(weights.sum()))
        checkpoint.commit({"step": step + 1, "w": weights, "v": speed, "rng": rng,
                           "python": random, "log": log})
        print(step, flush=True)
np.savez("end.npz", w=weights, log=log, last=[rng.normal(), random.random()])
"""
KERAS = """
import keras
import numpy as np
import lowmem

keras.utils.set_random_seed(3)
rng = np.random.default_rng(1)
model = keras.Sequential([
    keras.layers.Input((5,)), keras.layers.Dense(8, activation="relu"),
    keras.layers.BatchNormalization(), keras.layers.Dropout(0.3), keras.layers.Dense(1),
])
model.compile("adam", "mse", metrics=["mae"])
model.test_on_batch(np.zeros((2, 5)), np.zeros((2, 1)))
losses = []
with lowmem.Checkpoint("ckpt") as checkpoint:
    state = checkpoint.restore({"step": 0, "model": model, "rng": rng, "losses": losses})
    losses = state["losses"]
    for step in range(state["step"], 60):
        x = rng.normal(size=(16, 5))
        told = model.train_on_batch(x, x[:, :1] ** 2)
        losses.append([float(one) for one in told])
        checkpoint.commit({"step": step + 1, "model": model, "rng": rng, "losses": losses})
        print(step, flush=True)
np.savez("end.npz", *model.get_weights(), *model.optimizer.variables, losses=losses)
"""


# Ends the process at its n-th operation on the folder, if it is told to: a place by chance
# that no machine's speed moves.
KILLED = """
import os, sys
n_left = int(os.environ["KILL_AT"])
EVENTS = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.scandir"}

def count(event, words):
    global n_left
    if event in EVENTS and "ckpt" in str(words[0]):
        n_left -= 1
        if n_left == 0:
            os.kill(os.getpid(), 9)

sys.addaudithook(count)
"""
COUNTED = """
with open("events", "w") as stream:
    print(-n_left, file=stream)
"""


def status_of(folder, kill_at=0):
    """Run the loop, and return how it ended."""
    with (folder / "told").open("ab") as told, (folder / "errors").open("ab") as errors:
        return subprocess.run(
            [sys.executable, str(folder.parent / "loop.py")],
            cwd=folder,
            env={**os.environ, "KILL_AT": str(kill_at)},
            stdout=told,
            stderr=errors,
            timeout=PATIENCE_S * 4,
            check=False,
        ).returncode


def end_of(folder):
    assert status_of(folder) == 0, (folder / "errors").read_text()
    with np.load(folder / "end.npz") as found:
        return {name: found[name] for name in found.files}


@pytest.mark.parametrize(
    ("loop", "n_kills"),
    [
        pytest.param(NUMPY, 8, id="numpy"),
        pytest.param(KERAS, 3, id="keras", marks=pytest.mark.keras),
    ],
)
def test_a_loop_killed_at_random_ends_as_if_it_never_was(
    tmp_path, loop, n_kills, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    (tmp_path / "loop.py").write_text(KILLED + loop + COUNTED)
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    unbroken.mkdir()
    killed.mkdir()
    expected = end_of(unbroken)
    most = int((unbroken / "events").read_text()) // (n_kills + 1)
    chance = random.Random(11)
    for _ in range(n_kills):
        status = status_of(killed, chance.randint(1, most))
        assert status == -signal.SIGKILL, (killed / "errors").read_text()
    found = end_of(killed)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].tobytes() == value.tobytes(), name
    told = (killed / "told").read_text().split()
    assert len(told) > n_kills
    assert len(set(told)) == len(told), "what was committed was done again"

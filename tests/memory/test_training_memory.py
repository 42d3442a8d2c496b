"""What `train` and `encode` are predicted to need is what they take."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lowmem.stores.row_writer import RowWriter

pytestmark = [
    pytest.mark.keras,
    pytest.mark.slow,
    pytest.mark.memory,
    pytest.mark.process,
]

# Runs the job, reading its anonymous memory every 3 ms; prints peak and prediction.
MEASURE = """
import json, os, sys, threading
from lowmem.base.backends import find_backend
from lowmem.base.workspace import Workspace
from lowmem.protocol.job import PlanContext
from lowmem.protocol.options import resolve_options
from tests.driver import drive

def anonymous():
    with open("/proc/self/status") as lines:
        line = next(line for line in lines if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024

peak, done = [0], threading.Event()
def watch():
    while not done.wait(0.003):
        peak[0] = max(peak[0], anonymous())

threading.Thread(target=watch, daemon=True).start()
folder, name, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if name == "train":
    from lowmem_jobs.train.job import JOB
else:
    from lowmem_jobs.encode.job import JOB
ctx = PlanContext(
    workspace=Workspace.at(folder), options=resolve_options(name, JOB.options, options),
    seed=1, device="cpu", ram_budget_bytes=2 * 10**9,
    backend=find_backend(os.environ).require(),
)
settings = JOB.ladder(ctx)[0]
drive(JOB, folder, options, settings=settings, cycle_steps=10**6)
done.set()
print(json.dumps([peak[0], JOB.predict(ctx, settings).ram_bytes]))
"""


def test_training_and_encoding_take_what_is_predicted(tmp_path):
    writer = RowWriter.open(
        tmp_path / "images.zarr",
        "images",
        row_shape=(64, 64, 3),
        dtype=np.uint8,
        chunk_rows=128,
    )
    for seed in range(2):
        rows = np.random.default_rng(seed).integers(0, 256, (128, 64, 64, 3), np.uint8)
        writer.append(rows)
    writer.flush()
    for name, options in (("train", {"epochs": 1, "batch_size": 64}), ("encode", {})):
        out = subprocess.run(
            [sys.executable, "-c", MEASURE, str(tmp_path), name, json.dumps(options)],
            check=True,
            capture_output=True,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        peak, predicted = json.loads(out.stdout.splitlines()[-1])
        assert 0.7 * predicted < peak < 1.1 * predicted, (name, peak, predicted)

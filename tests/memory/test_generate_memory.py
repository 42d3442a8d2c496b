"""What `generate` takes of memory stays below what its plan predicts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Makes a workspace: the default model for 64 x 64 pixels, images, their vectors, an
# analysis.
MAKE = """
import sys
from pathlib import Path
import keras, numpy as np, zarr
from lowmem_jobs.model.autoencoder import build_autoencoder
from lowmem_jobs.model.parts import cut_at_latent, write_parts

root, d = Path(sys.argv[1]), 64
model = build_autoencoder(
    input_shape=(64, 64, 3), latent_dim=d, filters=(64, 128, 256, 512), batch_norm=True
)
write_parts(cut_at_latent(model), root / "model")
analysis = zarr.open_group(root / "analysis.zarr", mode="w")
analysis["mean"], analysis["eigenvalues"] = np.zeros(d), np.ones(d)
analysis["components"] = np.eye(d)
images = np.zeros((128, 64, 64, 3), np.uint8)
zarr.open_group(root / "images.zarr", mode="w").create_array("images", data=images)
z = np.random.default_rng(1).standard_normal((128, d)).astype(np.float32)
zarr.open_group(root / "latents.zarr", mode="w")["z"] = z
(root / "model" / "training.json").write_text('{"validation_split": 0.5}')
"""

# Runs the job, samples what the budget counts, and prints peak and prediction.
RUN = """
import json, re, sys, threading
from pathlib import Path
from lowmem.base.workspace import Workspace
from lowmem.protocol.planning import PlanContext
from lowmem.protocol.options import resolve_options
from lowmem_jobs.generate.job import JOB
from tests.driver import drive

peak, done = 0, threading.Event()
def watch():
    global peak
    while not done.wait(0.001):
        text = Path("/proc/self/status").read_text()
        peak = max(peak, 1024 * int(re.search(r"RssAnon:\\s+(\\d+)", text)[1]))

watcher = threading.Thread(target=watch)
watcher.start()
root, options = Path(sys.argv[1]), json.loads(sys.argv[2])
plan = PlanContext(
    workspace=Workspace.at(root),
    options=resolve_options("generate", JOB.options, options),
    seed=1,
    device="cpu",
    ram_budget_bytes=2 * 10**9,
)
rung, *_ = JOB.ladder(plan)
drive(JOB, root, options, settings=rung, cycle_steps=1)
done.set()
watcher.join()
print(json.dumps([peak, JOB.predict(plan, rung).ram_bytes]))
"""


def run_child(code: str, *arguments: str) -> str:
    child = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return child.stdout


@pytest.mark.slow
@pytest.mark.keras
@pytest.mark.memory
@pytest.mark.process
def test_the_peak_is_below_the_prediction_and_the_prediction_not_wasteful(tmp_path):
    run_child(MAKE, str(tmp_path))
    printed = run_child(RUN, str(tmp_path), json.dumps({"count": 64, "batch_size": 64}))
    peak, predicted = json.loads(printed.splitlines()[-1])
    assert peak < predicted < 1.8 * peak

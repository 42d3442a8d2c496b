from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem_jobs.ingest.job import JOB

ROOT = Path(__file__).parents[2]

# Runs the job in a fresh process and samples what the budget counts.
CHILD = """
import json, re, sys, threading, time
from pathlib import Path
from lowmem_jobs.ingest.job import JOB
from tests.driver import drive

peak, done = 0, threading.Event()
def resident(pid, kind):
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"{kind}:\\s+(\\d+)", text)
    return 1024 * int(found[1]) if found else 0

def watch():
    # The processes that decode count too, and what is shared with them once.
    global peak
    while not done.wait(0.001):
        now = resident("self", "RssAnon") + resident("self", "RssShmem")
        for task in Path("/proc/self/task").iterdir():
            for pid in (task / "children").read_text().split():
                now += resident(pid, "RssAnon")
        peak = max(peak, now)

watcher = threading.Thread(target=watch)
watcher.start()
workspace, options, rung = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
drive(JOB, Path(workspace), options, settings=rung, cycle_steps=4)
done.set()
watcher.join()
print(peak)
"""


def peak_bytes(workspace, options, rung):
    arguments = [str(workspace), json.dumps(options), json.dumps(rung)]
    child = subprocess.run(
        [sys.executable, "-c", CHILD, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(child.stdout.split()[-1])


def predicted_bytes(workspace, options, rung):
    plan = PlanContext(
        workspace=Workspace.at(workspace),
        options=resolve_options("ingest", JOB.options, options),
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
    )
    return JOB.predict(plan, rung).ram_bytes


def photographs(folder):
    """Write photographs of four megapixels: more than the decoder meets every day."""
    folder.mkdir()
    smooth = np.add.outer(np.arange(2000), np.arange(2000)) // 16 % 256
    alpha = np.repeat(smooth[..., None].astype(np.uint8), 4, axis=2)
    for index in range(4):
        Image.fromarray(alpha).save(folder / f"{index}.png", compress_level=1)
        Image.fromarray(alpha[..., :3]).save(folder / f"{index}.jpg")
    return folder


@pytest.mark.slow
@pytest.mark.memory
@pytest.mark.parametrize("ahead", [32, 1])
def test_photographs_are_ingested_within_the_predicted_memory(tmp_path, ahead):
    source = photographs(tmp_path / "photographs")
    assert_within(tmp_path / "w", {"source": str(source), "size": 512}, ahead)


@pytest.mark.slow
@pytest.mark.memory
def test_faces_and_an_array_are_ingested_within_the_predicted_memory(tmp_path):
    # 41 MiB in the file: a reader that took all of it at once would be seen.
    np.save(tmp_path / "a.npy", np.zeros((1500, 96, 96, 3), np.uint8))
    assert_within(tmp_path / "w1", {"source": str(tmp_path / "a.npy")}, 1)
    assert_within(tmp_path / "w2", {"source": "faces:200"}, 32)


def assert_within(workspace, options, ahead):
    rung = {"decode_ahead": ahead}
    peak = peak_bytes(workspace, options, rung)
    assert peak <= predicted_bytes(workspace, options, rung)

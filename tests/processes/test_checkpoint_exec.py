"""A loop with a checkpoint under `lowmem exec` goes on after kills, and elsewhere."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from lowmem.base.workspace import Workspace
from tests.processes.lowmem_runs import committed_cycles, lowmem, records

pytestmark = [pytest.mark.process, pytest.mark.slow]

LOOP = """
import os, signal, sys
import numpy as np
import lowmem

rng = np.random.default_rng(1)
with lowmem.Checkpoint("deep/ckpt") as checkpoint:
    state = checkpoint.restore({"step": 0, "w": np.zeros(5), "rng": rng})
    w = state["w"]
    print("from", state["step"], flush=True)
    for step in range(state["step"], 9):
        w = w + rng.normal(size=5)
        stopping = checkpoint.stopping
        checkpoint.commit({"step": step + 1, "w": w, "rng": rng})
        if stopping:
            sys.exit(75)
        if step == 3 and os.environ["LOWMEM_ATTEMPT"] == "1":
            os.kill(os.getpid(), signal.SIGKILL)
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
print(w.tobytes().hex())
"""


def test_a_loop_goes_on_after_a_kill_and_after_a_stop(tmp_path):
    (tmp_path / "loop.py").write_text(LOOP)
    words = ["exec", "--ram", "2G", "--retries", 1, "--", sys.executable, "loop.py"]
    first = lowmem(*words, cwd=tmp_path)
    assert first.status == 75, first
    assert first.out.split("\n")[:2] == ["from 0", "from 4"]
    space = Workspace.at(tmp_path / "lowmem-work")
    (job,) = space.job_names()
    kept = space.state(job) / "deep" / "ckpt"
    assert sorted(path.name for path in kept.iterdir()) == [
        "checkpoint.lock",
        "gen-00000006",
    ]
    assert len(committed_cycles(records(space.root))) >= 7
    # What was changed after the commit is gone, as for any program.
    (kept / "gen-00000006" / "manifest.json").write_text("torn")
    second = lowmem(*words, cwd=tmp_path)
    assert second.status == 0, second
    rng, w = np.random.default_rng(1), np.zeros(5)
    for _ in range(9):
        w = w + rng.normal(size=5)
    assert second.out.split() == ["from", "7", w.tobytes().hex()]
    assert not (tmp_path / "deep").exists()

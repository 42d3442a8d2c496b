"""Analyses that `analysis.py` measures: each in a process of its own, watched from outside."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base.workspace import Workspace
from lowmem.memory.process_tree import TreeSampler
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem.supervisor.processes import worker_environment
from lowmem_jobs.analyze.job import JOB

if TYPE_CHECKING:
    from lowmem.protocol.planning import Rung

ROOT = Path(__file__).parents[1]
N_COLUMNS = 256
BLOCK_ROWS = 10_000

# Seconds between two readings of the memory, from outside: a peak may last some
# milliseconds, and a reading takes a tenth of one.
READ_EVERY = 0.002

# Runs the job in a process of its own.
CHILD = """
import json, sys, time
from pathlib import Path
from lowmem_jobs.analyze.job import JOB
from tests.driver import Cutter, drive

stages = {}
class Watcher(Cutter):
    def show_progress(self, done, total, note):
        stages.setdefault(note, [time.perf_counter(), 0])[1] = time.perf_counter()

workspace, options, rung = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
start = time.perf_counter()
drive(JOB, Path(workspace), options, settings=rung, cycle_steps=50, overseer=Watcher())
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds,
    "stages": {name: stop - start for name, (start, stop) in stages.items()}}))
"""


def rows_of(n_rows: int, n_columns: int, start: int = 0) -> np.ndarray:
    """Return rows of a table that is a function of the row alone, float32.

    Correlated normals with a falling spectrum; every eighth component has heavy flanks,
    every eighth is skewed.
    """
    mixing = np.random.default_rng(1).normal(size=(n_columns, n_columns))
    mixing = np.linalg.qr(mixing)[0] * np.linspace(2, 0.1, n_columns)
    rng = np.random.default_rng([2, start])
    rows = rng.normal(size=(n_rows, n_columns))
    rows[:, ::8] = rng.standard_t(6, size=rows[:, ::8].shape)
    rows[:, 4::8] = rng.gamma(4, size=rows[:, 4::8].shape) / 2 - 2
    return (rows @ mixing.T + 3).astype(np.float32)


def write_table(path: Path, n_rows: int, n_columns: int) -> None:
    """Write ``n_rows`` of the table as .npy, a block at a time."""
    shape = (n_rows, n_columns)
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for start in range(0, n_rows, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, n_rows)
            stream.write(rows_of(stop - start, n_columns, start).tobytes())


def analyze(
    folder: Path, n_rows: int, n_columns: int = N_COLUMNS, **options: object
) -> dict:
    """Return time and memory of one analysis in a fresh process, set up as a worker's."""
    table = folder / f"{n_rows}.npy"
    workspace = Path(tempfile.mkdtemp(prefix="w", dir=folder))
    write_table(table, n_rows, n_columns)
    options = {"latents": str(table), "figures": False, **options}
    rung = rung_of(workspace, options)
    arguments = [str(workspace), json.dumps(options), json.dumps(dict(rung.settings))]
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        cwd=ROOT,
        env=worker_environment("cpu"),
        stdout=subprocess.PIPE,
        text=True,
    )
    peaks = watched(child)
    answer = child.communicate()[0]
    if child.returncode:
        sys.exit(f"the analysis ended with {child.returncode}")
    table.unlink()
    return {**json.loads(answer), **peaks, "predicted": rung.ram_bytes}


def rung_of(workspace: Path, options: dict) -> Rung:
    """Return what the planner would choose for the largest budget."""
    plan = PlanContext(
        workspace=Workspace.at(workspace),
        seed=1,
        device="cpu",
        options=resolve_options("analyze", JOB.options, options),
        ram_budget_bytes=10**9,
    )
    return JOB.predict(plan, JOB.ladder(plan)[0])


def watched(child: subprocess.Popen) -> dict[str, int]:
    """Return the peaks of a process and its helpers, once it has ended.

    Returns
    -------
    anonymous
        What the budget counts.
    resident
        The same and the pages of files, each once, read every second: by the kernel's
        own shares (PSS).
    """
    anonymous = resident = 0
    with TreeSampler(child.pid) as sampler:
        next_sum = time.monotonic()
        while child.poll() is None:
            anonymous = max(anonymous, sampler.read().most_bytes)
            if time.monotonic() > next_sum:
                resident = max(
                    resident, sum(map(share_bytes, [child.pid, *sampler.pids]))
                )
                next_sum += 1
            time.sleep(READ_EVERY)
    return {"anonymous": anonymous, "resident": resident}


def share_bytes(pid: int) -> int:
    """Return the resident memory of a process, a page that n have mapped as 1 / n."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return 1024 * int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])

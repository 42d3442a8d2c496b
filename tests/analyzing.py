"""Run the job `analyze` in this process, over rows of a curved cloud."""

from __future__ import annotations

import json

import numpy as np
import zarr

from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem_jobs.analyze.job import JOB
from tests.driver import Cutter, drive

SETTINGS = {"pair_rows": 1000, "pair_helpers": 0}


def rows_of(n=900, d=5, seed=1):
    rng = np.random.default_rng(seed)
    spread = np.linspace(3, 0.5, d)
    rows = rng.normal(size=(n, d)) * spread @ np.linalg.qr(rng.normal(size=(d, d)))[0]
    rows[:, 0] = np.sinh(rows[:, 0] / 2)
    return (rows + 10 * np.arange(d)).astype(np.float32)


def save(path, rows):
    np.save(path, rows)
    return {"latents": str(path)}


def analyze(workspace, options, *, figures=False):
    options = {"figures": figures, **options}
    summary = drive(JOB, workspace, options, settings=SETTINGS, cycle_steps=50)
    assert summary is not None
    document = json.loads((workspace / "analysis" / "summary.json").read_bytes())
    return zarr.open_group(workspace / "analysis.zarr", mode="r"), document


def plan(workspace, options):
    return PlanContext(
        workspace=Workspace.at(workspace),
        options=resolve_options("analyze", JOB.options, options),
        seed=1,
        device="cpu",
        ram_budget_bytes=2 * 10**9,
    )


def study(workspace, rows, **options):
    """Analyze ``rows`` in ``workspace``; return its summary and what it said."""
    table = workspace.with_suffix(".npy")
    np.save(table, rows)
    chosen = {"latents": str(table), "figures": False, **options}
    overseer = Cutter()
    assert drive(
        JOB, workspace, chosen, settings=SETTINGS, cycle_steps=50, overseer=overseer
    )
    summary = json.loads((workspace / "analysis" / "summary.json").read_bytes())
    return summary, overseer

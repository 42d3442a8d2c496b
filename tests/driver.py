"""Run a job's work in this process, with real commits, and cut it where a test says.

It uses the worker's own context and checkpoints, so what a test sees here is what a
worker process does, less the process. It *tests jobs*; the processes have tests of
their own in tests/processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem.base.workspace import Workspace
from lowmem.protocol.messages import Run
from lowmem.worker.cycles import Cutter, run_job
from lowmem.worker.registry import resolve_options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lowmem.protocol.job import Job


def drive(
    job: Job,
    workspace: Path,
    options: Mapping[str, Any] | None = None,
    *,
    settings: Mapping[str, int] | None = None,
    seed: int = 1,
    cycle_steps: int = 1,
    leave_after: int | None = None,
    ram_budget_bytes: int = 2 * 10**9,
) -> Mapping[str, Any] | None:
    """Run ``job`` until it is done, or leave after so many commits of this call.

    Returns
    -------
    summary
        The summary of the job's result once it is done and published; None where the
        job was left before. Calling again goes on from the last commit.
    """
    space = Workspace.at(workspace)
    request = Run(
        job=job.name,
        workspace=str(space.root),
        options=resolve_options(job, options or {}),
        settings=dict(settings or {}),
        recipe={"test": "driver"},
        seed=seed,
        device="cpu",
        ram_budget_bytes=ram_budget_bytes,
        vram_budget_bytes=None,
        cycle_steps=cycle_steps,
    )
    return run_job(job, request, Cutter(leave_after=leave_after))

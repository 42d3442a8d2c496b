"""Run a job's work in this process, with real commits, and cut it where a test says.

It uses the worker's own cycles and checkpoints, so what a test sees here is what a
worker process does, less the process. It *tests jobs*; the processes have tests of
their own in tests/processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem.protocol.messages import Run
from lowmem.protocol.options import resolve_options
from lowmem.worker.cycles import run_job
from lowmem.worker.divided import divided

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lowmem.checkpoints.restore import Restored
    from lowmem.protocol.division import Division
    from lowmem.protocol.job import Job
    from lowmem.protocol.messages import Cycle


class Cutter:
    """An overseer that makes the job leave after so many commits; None never."""

    def __init__(self, leave_after: int | None = None) -> None:
        self.leave_after = leave_after
        self.cycles: list[Cycle] = []
        self.lines: list[str] = []
        self.notes: list[str] = []
        self.restored: Restored | None = None

    def started(self, restored: Restored | None) -> None:
        self.restored = restored

    def is_draining(self) -> bool:
        return False

    def committed(self, cycle: Cycle, returned_bytes: int) -> bool:
        assert returned_bytes >= 0
        self.cycles.append(cycle)
        return self.leave_after is None or len(self.cycles) < self.leave_after

    def keep_line(self, text: str) -> None:
        self.notes.append(text)

    def show_line(self, text: str) -> None:
        self.lines.append(text)

    def show_progress(self, done: int, total: int | None, note: str) -> None:
        assert total is None or 0 <= done <= total, (done, total, note)


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
    overseer: Cutter | None = None,
    recipe: Mapping[str, Any] | None = None,
    division: Division | None = None,
) -> Mapping[str, Any] | None:
    """Run ``job`` until it is done, or leave after so many commits of this call.

    Parameters
    ----------
    recipe
        What the job's options belong to; the same for all of them where None.
    division
        Which share of the blocks is made, or that all are put together; see `division_of`.

    Returns
    -------
    summary
        The summary of the job's result once it is done and published; None where the
        job was left before. Calling again goes on from the last commit.
    """
    request = Run(
        reference=job.name,
        job=job.name,
        workspace=str(workspace),
        options=resolve_options(job.name, job.options, options or {}),
        settings=dict(settings or {}),
        recipe={"test": "driver"} if recipe is None else dict(recipe),
        seed=seed,
        device="cpu",
        ram_budget_bytes=ram_budget_bytes,
        vram_budget_bytes=None,
        cycle_steps=cycle_steps,
        division=division,
        part=""
        if division is None
        else division.holder and f"shards/{division.holder}",
    )
    if division is not None:
        job = divided(job, request, division, lambda: False)
    result = run_job(job, request, overseer or Cutter(leave_after))
    return None if result is None else result.summary

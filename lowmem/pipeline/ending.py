"""What is told once jobs are done: results, what they took, what comes next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from lowmem.base.units import format_budget, format_bytes, format_seconds
from lowmem.pipeline.orders import PIPELINE

if TYPE_CHECKING:
    from lowmem.history.job_history import JobHistory


def lines_at_the_end(
    job: JobHistory, workspace: str, *, took_s: float, ram_budget_bytes: int
) -> tuple[str, str]:
    """Return two lines: results; time of this run, and peak of the job.

    Parameters
    ----------
    workspace
        Its absolute path.
    took_s
        Seconds of this run.
    """
    results = ", ".join(job.published) or "none"
    measured = job.ram_peak_bytes
    peak = "not measured" if measured is None else format_bytes(measured)
    of_budget = f"RAM peak {peak} of {format_budget(ram_budget_bytes)}"
    return (
        f"  results  {results} in {workspace}",
        f"  took     {format_seconds(took_s)}, {of_budget}",
    )


def line_of_next(job: str, workspace: str) -> str:
    """Return the line that names the command after the last job of a command."""
    where = ["--workspace", workspace]
    following = PIPELINE[PIPELINE.index(job) + 1 :] if job in PIPELINE else ()
    words = ["run", following[0], *where] if following else ["report", workspace]
    return f"  next     {shlex.join(['lowmem', *words])}"

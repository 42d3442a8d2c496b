"""`--time-budget auto`: what is left of a batch system's job.

SLURM tells by `SLURM_JOB_END_TIME` where its release sets it, else by `squeue`. Nothing
else is known to tell: a run there has no limit and says so, since a lowmem.toml may hold
`auto` and be used in many places.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lowmem.base.clock import SystemClock
from lowmem.base.errors import StoppedError
from lowmem.base.units import format_seconds
from lowmem.supervisor.short_programs import run_program

AUTO = "auto"
# seconds kept for what comes after the last commit: the mirror, the report page. And of
# what is left, where that is little.
MARGIN_S = 60.0
MARGIN_SHARE = 0.1
# seconds; it asks the controller over the network.
_SQUEUE_S = 20.0
_LEFT = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", re.ASCII)

AskSqueue = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """What is known of the end of the job that this process is part of.

    Attributes
    ----------
    job
        How SLURM calls it; None outside of one.
    left_s
        Seconds until its time limit, infinite for none; None where nobody tells.
    """

    job: str | None = None
    left_s: float | None = None


def is_auto(text: object) -> bool:
    """Return whether a time budget is to be what is left."""
    return isinstance(text, str) and text.strip().lower() == AUTO


def slurm_job(environment: Mapping[str, str]) -> str | None:
    """Return what names exactly the job around us; None outside of SLURM.

    Of a job array one task has the array's own number, which also stands for all.

    Examples
    --------
    >>> slurm_job({"SLURM_JOB_ID": "7"})
    '7'
    >>> slurm_job({"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "9",
    ...            "SLURM_ARRAY_TASK_ID": "3"})
    '9_3'
    """
    array = environment.get("SLURM_ARRAY_JOB_ID", "")
    task = environment.get("SLURM_ARRAY_TASK_ID", "")
    if array.isdecimal() and task.isdecimal():
        return f"{array}_{task}"
    job = environment.get("SLURM_JOB_ID", "")
    return job if job.isdecimal() else None


def seconds_from_squeue(text: str | None) -> float | None:
    """Return the seconds that ``squeue -o %L`` printed; None where they tell nothing.

    Infinite where there is no limit, 0 where it is passed: SLURM prints that as INVALID.
    A job of several parts has a line for each, and ends with the first.

    Examples
    --------
    >>> seconds_from_squeue("1-02:03:04"), seconds_from_squeue("4:05")
    (93784.0, 245.0)
    >>> seconds_from_squeue("UNLIMITED"), seconds_from_squeue("NOT_SET")
    (inf, None)
    """
    known = [_seconds(line.strip()) for line in (text or "").splitlines()]
    return min((left_s for left_s in known if left_s is not None), default=None)


def _seconds(word: str) -> float | None:
    if word in {"UNLIMITED", "INVALID"}:
        return math.inf if word == "UNLIMITED" else 0.0
    match = _LEFT.fullmatch(word)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def time_left(
    environment: Mapping[str, str], now_s: float, ask_squeue: AskSqueue
) -> TimeLeft:
    """Return what is known of the end of the job around us.

    Parameters
    ----------
    now_s
        Seconds since 1970.
    ask_squeue
        Returns what squeue prints of a job; None if it cannot be asked.
    """
    job = slurm_job(environment)
    if job is None:
        return TimeLeft()
    end = environment.get("SLURM_JOB_END_TIME", "")
    # One that is past may have been moved since.
    if end.isdecimal() and int(end) > now_s:
        return TimeLeft(job=job, left_s=int(end) - now_s)
    return TimeLeft(job=job, left_s=seconds_from_squeue(ask_squeue(job)))


def usable_s(left_s: float) -> float:
    """Return the time budget for a job of which so much is left.

    Examples
    --------
    >>> usable_s(3600.0), usable_s(60.0)
    (3540.0, 54.0)
    """
    return left_s - min(MARGIN_S, MARGIN_SHARE * left_s)


def read_time_left() -> TimeLeft:
    """Return what this machine tells of the end of the job around us."""
    return time_left(os.environ, SystemClock().now().timestamp(), _ask_squeue)


def _ask_squeue(job: str) -> str | None:
    line = ["squeue", "--noheader", "--jobs", job, "--format", "%L"]
    return run_program(line, timeout_s=_SQUEUE_S)


def auto_budget(left: TimeLeft, job: str) -> tuple[str | None, str]:
    """Return the time budget as it would be typed, None for none, and what to say of it.

    Parameters
    ----------
    job
        The job of ours that is to be run.

    Raises
    ------
    StoppedError
        If nothing is left.
    """
    if left.job is None:
        return None, (
            "--time-budget auto: nothing here tells when this machine ends, so there is "
            "no limit. A duration, such as 11h30m, sets one."
        )
    if left.left_s is None:
        return None, (
            f"--time-budget auto: neither SLURM_JOB_END_TIME nor squeue tells what is "
            f"left of SLURM job {left.job}, so there is no limit; SLURM's signals stop "
            "the run all the same. A duration, such as 50m, sets one."
        )
    if math.isinf(left.left_s):
        return None, f"--time-budget auto: SLURM job {left.job} has no time limit."
    budget_s = usable_s(left.left_s)
    if budget_s <= 0:
        raise StoppedError(job=job, reason=f"nothing is left of SLURM job {left.job}")
    return f"{budget_s:.1f}s", (
        f"--time-budget auto: SLURM job {left.job} ends in "
        f"{format_seconds(left.left_s)}; this run stops within "
        f"{format_seconds(budget_s)}."
    )

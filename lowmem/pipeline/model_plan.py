"""The plan of a model of the user's own: its peak at a batch, and the largest that fits.

It has no workspace. Its trials have a folder of their own, which goes with the plan.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.errors import (
    InternalError,
    MissingOptionError,
    OptionValueError,
    UnknownOptionError,
    UsageError,
)
from lowmem.base.stderr import tell
from lowmem.base.workspace import Workspace
from lowmem.pipeline.compose import orders_of
from lowmem.pipeline.unread import is_unread
from lowmem.supervisor import planner
from lowmem.supervisor.batch_search import MOST_ROWS, bounds_of, predicted_at
from lowmem.supervisor.model_trials import room_of, tried_batches
from lowmem.supervisor.order import chosen_device, plan_request
from lowmem.supervisor.subreaper import become_subreaper
from lowmem.supervisor.trials import TrialBench

if TYPE_CHECKING:
    from lowmem.pipeline.orders import RunOptions
    from lowmem.supervisor.batch_search import BatchTrial

_JOBS, _TRIAL = "lowmem_jobs", ("model_trial", "model_trial_job.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPlanning:
    """What the trials of a model have shown.

    Attributes
    ----------
    model, use
        As it was named; ``training`` or ``inference``.
    room_bytes
        The largest peak in RAM with which a batch is said to hold.
    trials
        In the order in which they were run.
    seconds
        Of all of it.
    """

    model: str
    use: str
    device: str
    ram_budget_bytes: int
    vram_budget_bytes: int | None
    room_bytes: int
    batch_size: int
    trials: tuple[BatchTrial, ...]
    seconds: float

    @property
    def largest(self) -> BatchTrial | None:
        """The trial of the largest batch that held; None if none did."""
        low, _ = bounds_of(self.trials)
        return next((one for one in self.trials if one.batch_size == low), None)

    @property
    def smallest_missed(self) -> BatchTrial | None:
        """The trial of the smallest batch that did not hold; None if all did."""
        _, high = bounds_of(self.trials)
        return next((one for one in self.trials if one.batch_size == high), None)

    @property
    def asked(self) -> BatchTrial | None:
        """The trial of the batch that was asked about; None if a smaller one missed."""
        found = (one for one in self.trials if one.batch_size == self.batch_size)
        return next(found, None)

    @property
    def predicted_bytes(self) -> int | None:
        """The peak at that batch, from other trials; None if no two ran to their end."""
        if self.asked is not None and self.asked.predicted_ram_bytes is not None:
            return self.asked.predicted_ram_bytes
        return predicted_at(self.trials, self.batch_size)

    @property
    def fits(self) -> bool:
        """Whether that batch was tried and held, or a larger one did."""
        return self.largest is not None and self.largest.batch_size >= self.batch_size

    @property
    def reason(self) -> str:
        """Why the largest batch is what it is."""
        last = self.trials[-1]
        if last.outcome == "disturbed":
            return (
                "tried, and held; how much more does is not known, since other programs "
                f"took the memory of the trial with {last.batch_size:,} rows"
            )
        if self.largest is None:
            missed = self.smallest_missed
            where = f", in {missed.where}" if missed and missed.where else ""
            return f"not even one row at a time holds within the budget{where}"
        if self.largest.batch_size == MOST_ROWS:
            return f"no batch of more than {MOST_ROWS:,} rows is tried"
        return "tried, and held"


def model_plan_of(options: RunOptions) -> ModelPlanning:
    """Measure a model, within the budget, and return what its trials have shown.

    Parameters
    ----------
    options
        With ``--model`` and its like in ``extra``.

    Raises
    ------
    LowmemError
        If the line, the model or the machine does not let it be measured.
    """
    become_subreaper()
    clock = SystemClock()
    began_s = clock.monotonic()
    with tempfile.TemporaryDirectory(prefix="lowmem-plan-") as folder:
        space = Workspace.at(folder)
        try:
            orders = orders_of(trial_reference(), space, options, is_timed=False)
        except (UnknownOptionError, MissingOptionError) as error:
            raise UsageError(_told(error, options)) from error
        (order,) = orders.jobs
        device = chosen_device(order.device, uses_device=order.uses_device)
        # It refuses what is no model, before any framework is loaded.
        planner.plan(plan_request(order, space, device), is_unread)
        bench = TrialBench(space=space, clock=clock, device=device, is_over=is_unread)
        batch_size = int(str(order.options["batch_size"]))
        if batch_size > MOST_ROWS:
            raise OptionValueError(
                option="--batch-size",
                value=batch_size,
                expected=f"at most {MOST_ROWS}, the most rows that are tried",
            )
        _say("measuring the model by trials of a few steps, within the budget")
        trials = tried_batches(order, bench, batch_size, say=_say)
    return ModelPlanning(
        model=str(order.options["model"]),
        use="inference" if order.options["predict"] else "training",
        device=device,
        ram_budget_bytes=order.ram_budget_bytes,
        vram_budget_bytes=order.vram_budget_bytes if device == "gpu" else None,
        room_bytes=room_of(order).ram_bytes,
        batch_size=batch_size,
        trials=tuple(trials),
        seconds=round(clock.monotonic() - began_s, 3),
    )


def _say(text: str) -> None:
    tell(f"plan: {text}")


def _told(error: UnknownOptionError | MissingOptionError, options: RunOptions) -> str:
    is_missing = isinstance(error, MissingOptionError)
    return (
        f"option {error.option} is {'missing from' if is_missing else 'unknown to'} a "
        f"plan without a job ({' '.join(options.extra)}), expected --model, and of "
        "--batch-size, --predict and --input-shape what is needed. `lowmem plan --model "
        "--help` explains them. The plan of a job names it first: lowmem plan JOB."
    )


def trial_reference() -> str:
    """Return the file of the job that is one trial; nothing of it is imported here."""
    spec = PathFinder.find_spec(_JOBS)
    for place in (spec and spec.submodule_search_locations) or ():
        file = Path(place).joinpath(*_TRIAL)
        if file.is_file():
            return str(file)
    raise InternalError(problem=f"{'/'.join((_JOBS, *_TRIAL))} is not installed")


def is_of_model(job: str | None) -> bool:
    """Return whether a line of ``plan`` names no job but begins with an option.

    Examples
    --------
    >>> is_of_model("--model"), is_of_model("train"), is_of_model(None)
    (True, False, False)
    """
    return job is not None and job.startswith("--")

"""`lowmem plan --model` as text and as JSON."""

from __future__ import annotations

import json

import msgspec
import typer

from lowmem.base.errors import UsageError
from lowmem.base.units import format_budget, format_bytes, format_seconds
from lowmem.pipeline.model_plan import ModelPlanning
from lowmem.supervisor.batch_search import BatchTrial
from lowmem.supervisor.model_trials import told_of

SCHEMA = 1
# Options of `plan` that mean nothing where there is no job.
_OF_JOBS = ("workspace", "seed", "set_")


def refuse_options_of_jobs(context: typer.Context) -> None:
    """Refuse what the plan of a model cannot heed.

    Raises
    ------
    UsageError
        Naming it.
    """
    for name in _OF_JOBS:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"--{name.strip('_')} is given to a plan without a job, expected none: a "
                "model has no workspace, no seed and no settings. Leave it out, or name "
                "the job first: lowmem plan JOB."
            )


def json_from_model_plan(plan: ModelPlanning) -> str:
    """Return the plan as JSON."""
    asked, largest, missed = plan.asked, plan.largest, plan.smallest_missed
    is_known = asked is not None and asked.is_whole
    document = {
        "schema": SCHEMA,
        "model": plan.model,
        "use": plan.use,
        "device": plan.device,
        "ram_budget_bytes": plan.ram_budget_bytes,
        "vram_budget_bytes": plan.vram_budget_bytes,
        "batch_size": plan.batch_size,
        "fits": plan.fits,
        "predicted_ram_bytes": plan.predicted_bytes,
        "ram_peak_bytes": asked.ram_peak_bytes if asked and is_known else None,
        "vram_peak_bytes": asked.vram_peak_bytes if asked and is_known else None,
        "largest_batch_size": largest.batch_size if largest else 0,
        "largest_ram_peak_bytes": largest.ram_peak_bytes if largest else None,
        "smallest_missed_batch_size": missed.batch_size if missed else None,
        "reason": plan.reason,
        "trials": [msgspec.to_builtins(trial) for trial in plan.trials],
        "seconds": plan.seconds,
    }
    return json.dumps(document, indent=2)


def text_from_model_plan(plan: ModelPlanning) -> str:
    """Return the plan as a person reads it."""
    budget = format_budget(plan.ram_budget_bytes)
    lines = [
        f"{plan.model}: {plan.use}, RAM budget {budget}, on the {plan.device}",
        f"  batch {plan.batch_size}: {_asked(plan)}",
        f"  largest batch: {_largest(plan)}",
    ]
    if plan.device == "cpu":
        lines.append("  no GPU is used, so there is no peak of VRAM")
    count = f"{len(plan.trials)} trials in {format_seconds(plan.seconds)}"
    lines.append(f"  {count}, in the order they were run:")
    return "\n".join([*lines, *(f"    {_trial(one)}" for one in plan.trials)])


def _asked(plan: ModelPlanning) -> str:
    trial, predicted = plan.asked, plan.predicted_bytes
    if trial is None or not trial.is_whole:
        verdict = "fits" if plan.fits else "does not fit"
        if predicted is None:
            return verdict
        return f"{verdict}; a line through smaller ones says {format_bytes(predicted)}"
    verdict = "fits" if plan.fits else "leaves too little room"
    vram = trial.vram_peak_bytes
    device = f" and {format_bytes(vram)} of VRAM" if vram is not None else ""
    return f"peak {format_bytes(trial.ram_peak_bytes)}{device}, {verdict}{_off(trial)}"


def _off(trial: BatchTrial) -> str:
    """Return how far what was predicted was from what was measured."""
    if trial.predicted_ram_bytes is None or not trial.is_whole:
        return ""
    off = trial.predicted_ram_bytes / max(1, trial.ram_peak_bytes) - 1
    return f" ({format_bytes(trial.predicted_ram_bytes)} predicted, {off:+.1%})"


def _largest(plan: ModelPlanning) -> str:
    largest, missed = plan.largest, plan.smallest_missed
    if largest is None:
        return f"none, {plan.reason}"
    beyond = f"; {missed.batch_size} did not" if missed is not None else ""
    peak = format_bytes(largest.ram_peak_bytes)
    return f"{largest.batch_size}, peak {peak}: {plan.reason}{beyond}"


def _trial(trial: BatchTrial) -> str:
    return f"{told_of(trial)}{_off(trial)}"

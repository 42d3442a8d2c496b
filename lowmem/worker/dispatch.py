"""Turn each request of the supervisor into its answer."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from lowmem.base.errors import JobDefinitionError, UnknownOptionError
from lowmem.base.workspace import Workspace
from lowmem.protocol.checks import LADDER, is_ladder
from lowmem.protocol.job import PlanContext
from lowmem.protocol.messages import (
    Describe,
    Described,
    Finished,
    JobDescription,
    Plan,
    Planned,
    PlannedNeed,
    PlannedRung,
    Started,
)
from lowmem.worker.registry import find_job, installed_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path
    from typing import Any

    from lowmem.checkpoints.restore import Restored
    from lowmem.protocol.job import Job, Rung
    from lowmem.protocol.messages import Cycle, Request, Run
    from lowmem.worker.channel import Channel

_VERSIONED = ("lowmem", "numpy", "zarr", "keras", "tensorflow")


def answer(request: Request, channel: Channel) -> None:
    """Do what ``request`` asks and send the answer; errors are the caller's."""
    match request:
        case Describe():
            channel.send(describe(request))
        case Plan():
            channel.send(plan(request))
        case _:
            _run(request, channel)


def describe(request: Describe) -> Described:
    """Return the descriptions of the jobs asked for."""
    jobs = [find_job(name) for name in request.jobs] or installed_jobs()
    return Described(jobs=tuple(_description(job) for job in jobs))


def _description(job: Job) -> JobDescription:
    return JobDescription(
        name=job.name, summary=job.summary, unit=job.unit, options=job.options
    )


def plan(request: Plan) -> Planned:
    """Return the ladder with its predictions, what is missing, and the recipe."""
    job = find_job(request.reference)
    context = PlanContext(
        workspace=Workspace.at(request.workspace),
        options=request.options,
        seed=request.seed,
        device=request.device,
        ram_budget_bytes=request.ram_budget_bytes,
    )
    job.check(context)
    missing = [need for need in job.needs(context) if not need.path.exists()]
    if missing:
        return Planned(
            missing=tuple(
                PlannedNeed(
                    path=str(need.path),
                    job=need.job,
                    options=dict(need.options) if need.options is not None else None,
                )
                for need in missing
            )
        )
    return Planned(
        rungs=tuple(_rungs(job, context, request.pins)),
        recipe=_recipe(job, context),
    )


def _rungs(
    job: Job, context: PlanContext, pins: Mapping[str, int]
) -> Iterable[PlannedRung]:
    """Yield the ladder, with settings that the user pinned the same on every rung."""
    seen: list[Mapping[str, int]] = []
    ladder = job.ladder(context)
    if not is_ladder(ladder):
        raise JobDefinitionError(
            job=job.name,
            problem=f"has the ladder {ladder!r}",
            expected=LADDER,
        )
    known = {name for settings in ladder for name in settings}
    for name in pins:
        if name not in known:
            raise UnknownOptionError(
                option=f"--set {name}", job=job.name, known=sorted(known) or ["none"]
            )
    for settings in ladder:
        pinned = {**settings, **pins}
        if pinned not in seen:
            seen.append(pinned)
            yield _planned(job.predict(context, pinned))


def _planned(rung: Rung) -> PlannedRung:
    return PlannedRung(
        settings=dict(rung.settings),
        ram_bytes=rung.ram_bytes,
        vram_bytes=rung.vram_bytes,
    )


def _recipe(job: Job, context: PlanContext) -> dict[str, Any]:
    """Return all that the result depends on, one plain value a key."""
    recipe = {o.name: context.options[o.name] for o in job.options if o.is_recipe}
    inputs = {f"{name} (data)": value for name, value in job.inputs(context).items()}
    return {"version": job.version, "seed": context.seed, **recipe, **inputs}


class RunChannel:
    """The overseer of a run: the supervisor behind its channel."""

    def __init__(self, channel: Channel, request: Run) -> None:
        self._channel = channel
        self._request = request
        self.is_draining = channel.is_draining
        self.show_line = channel.show_line
        self.show_progress = channel.show_progress

    def started(self, restored: Restored | None) -> None:
        """Tell where this attempt goes on, and with what."""
        last = restored.manifest.cycle if restored else None
        note = ""
        if restored and restored.damaged:
            note = (
                f"checkpoint {', '.join(restored.damaged)} is damaged; going on from "
                f"generation {restored.manifest.generation}"
            )
        self._channel.send(
            Started(
                device=self._request.device,
                next_cycle=last.index + 1 if last else 0,
                last_cycle=last,
                versions=_versions(),
                note=note,
            )
        )

    def committed(self, cycle: Cycle, returned_bytes: int) -> bool:
        """Report a commit; return whether to go on."""
        return self._channel.committed(cycle, returned_bytes)


def _versions() -> dict[str, str]:
    found = {}
    for package in _VERSIONED:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _run(request: Run, channel: Channel) -> None:
    # Loads NumPy: a planner, which never runs a job, stays small without it.
    from lowmem.worker.cycles import run_job

    job = find_job(request.reference)
    channel.listen()
    result = run_job(job, request, RunChannel(channel, request))
    if result is not None:
        channel.send(
            Finished(
                published=result.publish,
                summary=dict(result.summary),
                results_sha256=result.results_sha256,
            )
        )


def stacks_path(request: Request) -> Path | None:
    """Return where a run's stacks are to be written; None for other requests."""
    if isinstance(request, Describe | Plan):
        return None
    return Workspace.at(request.workspace).stacks(request.job)

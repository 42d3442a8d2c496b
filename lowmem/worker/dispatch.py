"""Turn each request of the supervisor into its answer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lowmem.base.backends import find_backend
from lowmem.base.errors import JobDefinitionError, UnknownOptionError
from lowmem.base.software import software_versions
from lowmem.base.suggestions import did_you_mean
from lowmem.base.workspace import Workspace
from lowmem.memory.allocation import limit_itself
from lowmem.protocol.messages import (
    Describe,
    Described,
    Finished,
    Plan,
    Planned,
    PlannedRung,
    Started,
)
from lowmem.protocol.planning import PlanContext
from lowmem.protocol.told_jobs import JobDescription, PlannedNeed
from lowmem.protocol.value_checks import LADDER, is_ladder
from lowmem.worker.memory_key import (
    compare_key,
    memory_key,
    planned_trials,
    source_of,
)
from lowmem.worker.planned_recipe import inputs_of, recipe_of
from lowmem.worker.registry import find_job, installed_jobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from lowmem.checkpoints.restore import Restored
    from lowmem.protocol.job import Job
    from lowmem.protocol.messages import Cycle, Request, Run
    from lowmem.protocol.planning import Calibration, Rung, Settings
    from lowmem.worker.channel import Channel


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
    jobs = {name: find_job(name) for name in request.jobs}
    jobs = jobs or {job.name: job for job in installed_jobs()}
    return Described(jobs=tuple(_description(job, name) for name, job in jobs.items()))


def _description(job: Job, reference: str) -> JobDescription:
    return JobDescription(
        name=job.name,
        reference=reference,
        summary=job.summary,
        unit=job.unit,
        options=job.options,
        uses_device=job.said_device_use,
        is_adding=job.is_adding,
        is_whole_for="" if job.blocks else job.is_whole_for,
    )


def plan(request: Plan) -> Planned:
    """Return the ladder with its predictions, what is missing, and the recipe."""
    job = find_job(request.reference)
    backend = find_backend(os.environ)
    if job.uses_keras and not request.is_merge:
        backend.require()
    context = PlanContext(
        workspace=Workspace.at(request.workspace),
        options=request.options,
        seed=request.seed,
        device=request.device,
        ram_budget_bytes=request.ram_budget_bytes,
        backend=backend.name,
        typed=request.typed,
        is_dry=request.is_dry,
    )
    job.check(context)
    missing = [need for need in job.needs(context) if not need.path.exists()]
    if missing:
        if request.pins:
            _refuse_unknown(request.pins, job, _ladder_of_nothing(job, context))
        return Planned(
            missing=tuple(
                PlannedNeed(
                    path=str(need.path),
                    job=need.job,
                    reference=need.reference,
                    options=dict(need.options) if need.options is not None else None,
                )
                for need in missing
            )
        )
    inputs = inputs_of(job, context)
    recipe = recipe_of(job, context, inputs)
    if request.is_merge:
        # It is not the job that runs, so neither its formula nor its settings count.
        return Planned(
            rungs=(PlannedRung(settings={}, ram_bytes=None, vram_bytes=None),),
            recipe=recipe,
            inputs=inputs,
            # No run has this key, so none that ran the job is taken for its like.
            memory_key="merge",
            source=source_of(request.reference, job.work),
            given=_given(job, context),
        )
    calibration = job.calibrate(context)
    key = memory_key(job, request, recipe, calibration)
    return Planned(
        rungs=tuple(_rungs(job, context, request.pins, calibration)),
        recipe=recipe,
        inputs=inputs,
        trials=tuple(planned_trials(job, context, request.pins, calibration)),
        memory_key=key,
        compare_key=compare_key(recipe, key, calibration),
        standing=job.standing(context),
        source=source_of(request.reference, job.work),
        extents=job.extents,
        is_bare=job.is_bare,
        given=_given(job, context),
    )


def _given(job: Job, context: PlanContext) -> dict[str, object]:
    """Return the options that are not as by default."""
    return {
        option.name: context.options[option.name]
        for option in job.options
        if context.options[option.name] != option.default
    }


def _rungs(
    job: Job,
    context: PlanContext,
    pins: Mapping[str, int],
    calibration: Calibration | None,
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
    _refuse_unknown(pins, job, ladder)
    for settings in ladder:
        pinned = {**settings, **pins}
        if pinned not in seen:
            seen.append(pinned)
            terms = calibration.terms(context, pinned) if calibration else ()
            yield _planned(job.predict(context, pinned), terms)


def _ladder_of_nothing(job: Job, context: PlanContext) -> Sequence[Settings]:
    """Return a ladder for its names, while what the job needs is still to be made.

    A slip in ``--set`` is then told before that has taken its time. Of a job that has to
    read what is missing nothing is known yet: no rung.
    """
    try:
        ladder = job.ladder(context)
    except Exception:  # noqa: BLE001 - the job's own code, which may not be asked yet
        return ()
    return ladder if is_ladder(ladder) else ()


def _refuse_unknown(
    pins: Mapping[str, int], job: Job, ladder: Sequence[Settings]
) -> None:
    """Refuse a pinned setting that no rung has; of no ladder nothing is known."""
    known = sorted({name for settings in ladder for name in settings})
    for name in pins:
        if ladder and name not in known:
            raise UnknownOptionError(
                option=f"--set {name}",
                job=job.name,
                known=known or ["none"],
                hint=did_you_mean(name, known),
            )


def _planned(rung: Rung, terms: Iterable[float]) -> PlannedRung:
    return PlannedRung(
        settings=dict(rung.settings),
        ram_bytes=rung.ram_bytes,
        vram_bytes=rung.vram_bytes,
        terms=tuple(float(term) for term in terms),
        source="unknown" if rung.ram_bytes is None else "analytic",
    )


class RunChannel:
    """The overseer of a run: the supervisor behind its channel."""

    def __init__(self, channel: Channel, request: Run) -> None:
        self._channel = channel
        self._request = request
        self.is_draining = channel.is_draining
        self.show_line = channel.show_line
        self.keep_line = channel.keep_line
        self.show_progress = channel.show_progress

    def started(self, restored: Restored | None) -> None:
        """Tell where this attempt goes on, and with what."""
        if self._request.is_followed:
            limit_itself(self._request.ram_budget_bytes)
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
                versions=software_versions(os.environ),
                note=note,
            )
        )

    def rebuilding(self, next_cycle: int) -> None:
        """Tell that files of a result are being made again."""
        self._channel.send(
            Started(
                device=self._request.device,
                next_cycle=next_cycle,
                last_cycle=None,
                versions=software_versions(os.environ),
            )
        )

    def committed(self, cycle: Cycle, returned_bytes: int) -> bool:
        """Report a commit; return whether to go on."""
        return self._channel.committed(cycle, returned_bytes)


def _run(request: Run, channel: Channel) -> None:
    # Loads NumPy: a planner, which never runs a job, stays small without it.
    from lowmem.worker.cycles import run_job

    job = find_job(request.reference)
    channel.listen()
    overseer = RunChannel(channel, request)
    if request.rebuild is not None:
        from lowmem.worker.recompute_files import rebuild

        overseer.rebuilding(request.rebuild.next_cycle)
        rebuild(job, request, request.rebuild, overseer)
        channel.send(request.rebuild.finished)
        return
    if request.marks_at is not None:
        from lowmem.worker.state_digests import marked

        job = marked(job, request.marks_at, channel.send)
    if request.division is not None:
        from lowmem.worker.divided import divided

        job = divided(job, request, request.division, channel.is_draining)
    result = run_job(job, request, overseer)
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
    return Workspace.at(request.workspace, request.part).stacks(request.job)

"""From a job's plan to what each of its settings will need: the plan that guards a run.

`lowmem plan` and `lowmem run` go through the same lines; the first always measures what
no run or trial has shown yet, the second only where the job's formula leaves a doubt.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from lowmem.base.errors import StorageError
from lowmem.history.fold import history_of
from lowmem.memory.extrapolation import Sample
from lowmem.supervisor.forecast import forecast, is_trial_due, start_of
from lowmem.supervisor.known_peaks import (
    TrialPeak,
    ceilings_of,
    known_peak,
    read_compared,
    read_trials,
    write_trials,
)
from lowmem.supervisor.setting_comparison import Made, compared
from lowmem.supervisor.trials import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from lowmem.history.job_history import Ceilings
    from lowmem.protocol.messages import Planned, PlannedRung, PlannedTrial
    from lowmem.protocol.records import AnyRecord
    from lowmem.supervisor.order import JobOrder
    from lowmem.supervisor.setting_comparison import Marks
    from lowmem.supervisor.trials import TrialBench


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A job's ladder with what each rung is expected to need.

    Attributes
    ----------
    rungs
        Largest settings first.
    start
        Index of the rung to start with; None if none is expected to fit.
    stop
        The smallest trial that was stopped at the budget, so that nobody knows what the
        job needs; None if none was.
    """

    rungs: tuple[PlannedRung, ...]
    start: int | None
    stop: TrialPeak | None = None


def prepare(
    order: JobOrder,
    planned: Planned,
    bench: TrialBench,
    records: Iterable[AnyRecord],
    *,
    is_thorough: bool,
    say: Callable[[str], None],
) -> Prepared:
    """Return what a job will need, trials run where they are due.

    Parameters
    ----------
    is_thorough
        Whether to run the trials however roomy the budget is.
    say
        Takes a line for the user, before anything that lasts.

    Raises
    ------
    StoppedError
        If the bench's ``is_over`` ended a trial.
    """
    records = tuple(records)
    ceilings = ceilings_of(order.name, planned.memory_key, bench.device, records)
    known = _Known(order, planned, bench, has_commits=has_commits(order.name, records))
    rungs = forecast(known.usable(), known.samples(), ceilings)
    is_due = is_trial_due(rungs, order.planned_budget_bytes)
    guessed = {"unknown", "analytic"}
    is_wanted = is_thorough and any(rung.source in guessed for rung in rungs)
    if planned.trials and (is_due or is_wanted):
        say("measuring what it needs, which is remembered")
        known.measure_all()
    if known.is_to_be_compared():
        say("comparing what its settings make, which is remembered")
        doubt = known.compare()
        if doubt:
            say(f"it is not known whether its settings change its result: {doubt}")
    if known.refusal():
        what = "no smaller settings" if known.is_bound() else "with smaller settings"
        say(f"{what}: {known.refusal()}")
    return _prepared(order, known.usable(), known, ceilings)


def _prepared(
    order: JobOrder, planned: Planned, known: _Known, ceilings: Ceilings
) -> Prepared:
    samples = known.samples()
    rungs = forecast(planned, samples, ceilings)
    start = start_of(rungs, forecast(planned, samples), order.planned_budget_bytes)
    return Prepared(rungs=rungs, start=start, stop=known.stop())


def has_commits(job: str, records: Sequence[AnyRecord]) -> bool:
    """Return whether a job has committed anything since it last began."""
    own = history_of(records, is_brief=True).jobs.get(job)
    return own is not None and bool(own.committed)


class _Known:
    """The trials of one job that have been run, now or before."""

    def __init__(
        self, order: JobOrder, planned: Planned, bench: TrialBench, *, has_commits: bool
    ) -> None:
        self._order = order
        self._has_commits = has_commits
        self._planned = planned
        self._bench = bench
        self._peaks = list(read_trials(bench.space, planned.memory_key))
        self._compared = read_compared(bench.space, planned.memory_key)
        self._heard: list[tuple[PlannedTrial, Made]] = []
        # Of this run alone: what was seen, and could not be made sure of.
        self._suspicion = ""

    def samples(self) -> list[Sample]:
        """Return what the trials say, as far as they have been run."""
        return [
            Sample(
                terms=trial.terms,
                floor_bytes=trial.floor_bytes,
                peak_bytes=peak.ram_bytes,
                is_whole=peak.is_whole,
            )
            for trial in self._planned.trials
            if (peak := self._find(trial)) is not None and not peak.refusal
        ]

    def refusal(self) -> str:
        """Return why the job refuses all settings but the first; empty where it does not."""
        of_states = self._compared.get(self._planned.compare_key, self._suspicion)
        return self._refusal_of_trials() or of_states

    def _refusal_of_trials(self) -> str:
        found = (self._find(trial) for trial in self._planned.trials)
        return next((peak.refusal for peak in found if peak and peak.refusal), "")

    def is_bound(self) -> bool:
        """Return whether the job is held to its first settings.

        Not by what its trials made once it has commits: an older lowmem may have made
        these with smaller settings, and larger ones may not fit.
        """
        return bool(
            self._refusal_of_trials() or (self.refusal() and not self._has_commits)
        )

    def usable(self) -> Planned:
        """Return the plan with those settings alone that the job does not refuse."""
        kept = self._planned.rungs[:1] if self.is_bound() else self._planned.rungs
        return replace(self._planned, rungs=kept)

    def stop(self) -> TrialPeak | None:
        """Return the smallest trial that was stopped at the budget."""
        found = (self._find(trial) for trial in self._planned.trials)
        cut = (one for one in found if one and not one.is_whole and not one.refusal)
        return next(cut, None)

    def measure_all(self) -> None:
        """Run what is missing, smallest first, up to the first that does not fit."""
        for trial in self._planned.trials:
            peak = self._find(trial) or self._measured(trial)
            if peak is None:
                return
            self._keep(peak)
            if not peak.is_whole and not peak.refusal:
                return

    def is_to_be_compared(self) -> bool:
        """Return whether it is not known yet if the settings change what the job makes."""
        key = self._planned.compare_key
        ladder = self._planned.rungs
        smallest = self._find(self._planned.trials[0]) if self._planned.trials else None
        # Where the smallest does not fit, no larger one is filled to be compared with.
        fits = smallest is None or smallest.is_whole
        return bool(key) and key not in self._compared and len(ladder) > 1 and fits

    def compare(self) -> str:
        """Hold what the settings make against each other, and remember it.

        Returns
        -------
        doubt
            What kept it from being known; empty where nothing did.
        """
        ladder = [rung.settings for rung in self._planned.rungs]
        found = compared(self._planned.trials, ladder, self._made_by)
        if found.is_known:
            key = self._planned.compare_key
            self._compared = {**self._compared, key: found.refusal}
            self._write()
        else:
            self._suspicion = found.refusal
        return found.doubt

    def _made_by(self, trial: PlannedTrial, marks_at: Sequence[int] = ()) -> Made:
        """Return what a trial makes; nothing where it does not fit."""
        if not marks_at:
            for one, made in self._heard:
                if one == trial:
                    return made
            former = self._find(trial)
            if former is not None and not former.is_whole:
                return Made(marks={})
        peak = self._measured(trial, marks_at)
        # Else one that does not fit would be filled again at every start.
        if peak is not None and not marks_at:
            self._keep(peak)
        return self._heard[-1][1]

    def _measured(
        self, trial: PlannedTrial, marks_at: Sequence[int] = ()
    ) -> TrialPeak | None:
        """Return the peak of a trial, and keep what it told of what it makes."""
        if not self.is_to_be_compared():
            return measured(self._order, trial, self._bench)
        marks: Marks = {}
        peak = measured(self._order, trial, self._bench, marks=marks, marks_at=marks_at)
        is_whole = peak is not None and peak.is_whole
        made = Made(marks=marks if is_whole else {}, has_failed=peak is None)
        self._heard.append((trial, made))
        return peak

    def _find(self, trial: PlannedTrial) -> TrialPeak | None:
        return known_peak(self._peaks, trial, self._order.ram_budget_bytes)

    def _keep(self, peak: TrialPeak) -> None:
        """Remember a peak."""
        if peak in self._peaks:
            return
        others = [
            one
            for one in self._peaks
            if (one.settings, one.options) != (peak.settings, peak.options)
        ]
        self._peaks = [*others, peak]
        self._write()

    def _write(self) -> None:
        """Remember what is known; a workspace that cannot be written is no obstacle."""
        key, space = self._planned.memory_key, self._bench.space
        with contextlib.suppress(StorageError):
            write_trials(space, key, self._order.name, self._peaks, self._compared)

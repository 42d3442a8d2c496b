"""The end of a run waits for its mirror, but not beyond what its time budget leaves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import ClassVar

import pytest

from lowmem.base.workspace import Workspace
from lowmem.history.fold import history_of_job
from lowmem.protocol.messages import Cycle
from lowmem.protocol.mirror_messages import (
    Answered,
    AtRest,
    Durable,
    FinishMirror,
    StillReading,
)
from lowmem.protocol.records import CycleEnded, JobBegun, Mirrored
from lowmem.supervisor import mirror_client
from lowmem.supervisor.mirror_client import Mirror, MirrorPlan, ask_mirror
from lowmem.supervisor.telemetry import Journal


class Clock:
    """Time passes by sleeping only."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self):
        return self.seconds

    def now(self):
        return datetime(2026, 1, 1, tzinfo=UTC)

    def sleep(self, seconds):
        self.seconds += seconds


class Silent:
    """A mirror's process that never answers."""

    is_open = True
    pid = 0

    def __init__(self, *_, **__):
        self.is_ended = False

    def tell(self, _):
        return True

    def receive(self, *_):
        return []

    def end(self):
        self.is_ended = True


class NoStops:
    count = 0


def records(n_committed, durable):
    found = [JobBegun(job="train", at="", reference="train", recipe={}, unit="images")]
    for index in range(n_committed):
        cycle = Cycle(
            index=index,
            items=1,
            started_at="",
            seconds=1,
            commit_seconds=0,
            settings={},
        )
        ended = CycleEnded(
            job="train", at="", attempt=1, outcome="committed", cycle=cycle
        )
        found.append(ended)
        if index < durable:
            found.append(Mirrored(job="train", at="", generation=index, is_done=False))
    return found


def mirror_of(folder, clock, said, *, journal=None, deadline=None):
    return Mirror(
        plan=MirrorPlan(url="anywhere"),
        space=Workspace.at(folder),
        journal=journal,
        clock=clock,
        stops=NoStops(),
        say=said.append,
        read_records=lambda: records(5, durable=3),
        deadline=deadline,
    )


@pytest.mark.parametrize(
    ("left_s", "waits_s"), [(None, 60), (1000, 60), (20, 20), (2, 5), (-10, 5)]
)
def test_the_wait_for_a_mirror_that_does_not_answer_keeps_to_the_time_budget(
    tmp_path, monkeypatch, left_s, waits_s
):
    monkeypatch.setattr(mirror_client, "HelperProcess", Silent)
    clock, said = Clock(), []
    deadline = None if left_s is None else clock.seconds + left_s
    mirror = mirror_of(tmp_path, clock, said, deadline=deadline)
    with mirror:
        mirror.committed("train", 4)
        began = clock.seconds
    assert clock.seconds - began == pytest.approx(waits_s, abs=0.1)
    assert said[-1] == (
        "mirror: not durable at the end: train (durable 3 < committed 5)"
    )


class Mortal(Silent):
    """A mirror's process that is killed when asked to finish; the next one does it."""

    made: ClassVar[list[Mortal]] = []

    def __init__(self, *_, **__):
        super().__init__()
        self.made.append(self)
        self.finishes = False

    def tell(self, message):
        if isinstance(message, FinishMirror):
            self.finishes = len(self.made) > 1
            self.is_open = self.finishes
        return self.is_open

    def receive(self, *_):
        if not self.finishes:
            return []
        return [Durable(job="train", generation=4, is_done=False), AtRest()]


def test_a_mirror_killed_while_the_run_ends_is_started_again_and_ends_its_work(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(mirror_client, "HelperProcess", Mortal)
    monkeypatch.setattr(Mortal, "made", [])
    clock, said = Clock(), []
    with Journal(Workspace.at(tmp_path), clock) as journal:
        mirror = mirror_of(tmp_path, clock, said, journal=journal)
        with mirror:
            mirror.committed("train", 4)
            began = clock.seconds
    assert clock.seconds - began < 15
    assert [line for line in said if "not durable" in line] == []
    assert len(Mortal.made) == 2
    assert Mortal.made[1].is_ended


def test_what_is_durable_never_outlives_the_commit_that_it_was():
    found = records(5, durable=4)
    assert history_of_job("train", found).durable == 4
    back = found[-3]
    assert isinstance(back, CycleEnded)
    undone = CycleEnded(
        job="train", at="", attempt=2, outcome="rolled_back", cycle=back.cycle
    )
    assert history_of_job("train", [*found, undone]).durable == back.cycle.index
    assert history_of_job("train", [*found, found[0]]).durable == 0


class Patient(Silent):
    """A mirror's process that says every 30 s that it is at work, and answers at last."""

    clock = Clock()
    answers_after_s: float | None = 200.0

    def receive(self, *_):
        self.clock.seconds += 30
        if self.answers_after_s is not None:
            if self.clock.seconds > 1000 + self.answers_after_s:
                return [Answered(notes=("at last",))]
            return [StillReading()]
        return []


@pytest.mark.parametrize(
    ("answers_after_s", "note"),
    [(200.0, "at last"), (None, "does not answer; the run continues without it")],
)
def test_a_run_waits_for_a_slow_mirror_as_long_as_it_shows_signs_of_life(
    tmp_path, monkeypatch, answers_after_s, note
):
    monkeypatch.setattr(Patient, "clock", Clock())
    monkeypatch.setattr(Patient, "answers_after_s", answers_after_s)
    monkeypatch.setattr(mirror_client, "HelperProcess", Patient)
    space = Workspace.at(tmp_path)
    found = ask_mirror(MirrorPlan(url="slow"), space, Patient.clock, patience_s=60.0)
    assert found.notes == (note,)

"""A setting that a trial shows to be refused is offered to nobody."""

from __future__ import annotations

from types import SimpleNamespace

from lowmem.base.clock import SystemClock
from lowmem.base.errors_recipe import SettingRefusedError
from lowmem.base.workspace import Workspace
from lowmem.protocol.messages import (
    SETTING_REFUSED_ERROR,
    Planned,
    PlannedRung,
    PlannedTrial,
)
from lowmem.supervisor import prepare
from lowmem.supervisor.known_peaks import TrialPeak
from lowmem.supervisor.trials import TrialBench
from lowmem.worker.failure import failure_from_exception

MIB = 2**20
PLANNED = Planned(
    rungs=tuple(
        PlannedRung(
            settings={"part": n},
            ram_bytes=None,
            vram_bytes=None,
            terms=(float(n), float(n < 8)),
        )
        for n in (8, 4, 2)
    ),
    trials=tuple(
        PlannedTrial(
            settings={"part": part},
            options={"whole": whole},
            points=2,
            terms=(float(part), float(part < whole)),
            floor_bytes=0,
        )
        for part, whole in ((1, 1), (1, 2), (4, 4))
    ),
    memory_key="key",
)


def prepared(tmp_path, said, monkeypatch, *, refusal):
    ran = []

    def measured(_order, trial, _bench, **_):
        ran.append((trial.settings["part"], trial.options["whole"]))
        is_refused = trial.settings["part"] < trial.options["whole"]
        return TrialPeak(
            settings=trial.settings,
            options=trial.options,
            ram_bytes=(50 + 10 * trial.settings["part"]) * MIB,
            is_whole=not (is_refused and refusal),
            ram_budget_bytes=100 * MIB,
            refusal=refusal if is_refused else "",
        )

    monkeypatch.setattr(prepare, "measured", measured)
    order = SimpleNamespace(
        name="train", planned_budget_bytes=100 * MIB, ram_budget_bytes=100 * MIB
    )
    bench = TrialBench(
        space=Workspace.at(tmp_path),
        clock=SystemClock(),
        device="cpu",
        is_over=lambda: False,
    )
    found = prepare.prepare(
        order, PLANNED, bench, [], is_thorough=False, say=said.append
    )
    return found, ran


def test_what_a_trial_was_refused_is_not_offered_now_or_from_memory(
    tmp_path, monkeypatch
):
    said = []
    found, ran = prepared(tmp_path, said, monkeypatch, refusal="parts are another step")
    assert ran == [(1, 1), (1, 2), (4, 4)]
    assert [rung.settings["part"] for rung in found.rungs] == [8]
    # The whole batch needs 50 + 8 * 10 MiB of 100: nothing that would do is promised.
    assert found.start is None
    assert found.stop is None
    assert any("parts are another step" in line for line in said)
    said.clear()
    again, ran = prepared(tmp_path, said, monkeypatch, refusal="parts are another step")
    assert ran == []
    assert again.rungs == found.rungs
    assert any("parts are another step" in line for line in said)


def test_what_no_trial_was_refused_is_offered_as_ever(tmp_path, monkeypatch):
    found, _ = prepared(tmp_path, [], monkeypatch, refusal="")
    assert [rung.settings["part"] for rung in found.rungs] == [8, 4, 2]
    assert found.rungs[found.start].settings["part"] == 2


def test_the_refusal_is_told_by_the_name_that_trials_know_it_by():
    error = SettingRefusedError(model="m", problem="cannot", expected="whole batches")
    told = failure_from_exception(error)
    assert (told.kind, told.exit_code) == (SETTING_REFUSED_ERROR, 2)


COMPARED = Planned(
    rungs=PLANNED.rungs,
    trials=[
        PlannedTrial(
            settings={"part": part},
            options={},
            points=4,
            terms=(float(part),),
            floor_bytes=0,
        )
        for part in (2, 8)
    ],
    memory_key="key",
    compare_key="recipe",
)


def compared(
    tmp_path, monkeypatch, *, has_commits=False, fits=True, fails=lambda *_: False
):
    """Prepare a job twice whose total depends on its setting; return both, and the trials."""
    ran = []

    def measured(_order, trial, _bench, marks=None, marks_at=()):
        part = trial.settings["part"]
        ran.append((part, *marks_at))
        if fails(part, *marks_at):
            return None
        if marks is not None and (fits or part < 4):
            marks[8] = {"arrays['total']": f"by {part}"}
        return TrialPeak(
            settings=trial.settings,
            options=trial.options,
            ram_bytes=(10 + 10 * part) * MIB,
            is_whole=fits or part < 4,
            ram_budget_bytes=100 * MIB,
        )

    monkeypatch.setattr(prepare, "measured", measured)
    monkeypatch.setattr(prepare, "has_commits", lambda *_: has_commits)
    order = SimpleNamespace(
        name="own", planned_budget_bytes=100 * MIB, ram_budget_bytes=100 * MIB
    )
    bench = TrialBench(
        space=Workspace.at(tmp_path),
        clock=SystemClock(),
        device="cpu",
        is_over=lambda: False,
    )
    said = []
    found = [
        prepare.prepare(order, COMPARED, bench, [], is_thorough=True, say=said.append)
        for _ in range(2)
    ]
    return found, ran, said


def test_settings_that_change_a_result_leave_the_first_alone(tmp_path, monkeypatch):
    found, ran, said = compared(tmp_path, monkeypatch)
    assert [[r.settings["part"] for r in one.rungs] for one in found] == [[8], [8]]
    assert any("no smaller settings: they change its result" in line for line in said)
    # The second is told of it from memory.
    assert ran == [(2,), (8,), (2, 8)]


def test_a_job_that_has_committed_keeps_its_smaller_settings_and_is_told(
    tmp_path, monkeypatch
):
    found, _, said = compared(tmp_path, monkeypatch, has_commits=True)
    assert [r.settings["part"] for r in found[0].rungs] == [8, 4, 2]
    assert any("with smaller settings: they change" in line for line in said)


def test_a_trial_that_does_not_fit_is_not_filled_again_at_the_next_start(
    tmp_path, monkeypatch
):
    _, ran, _ = compared(tmp_path, monkeypatch, fits=False)
    assert ran.count((8,)) == ran.count((4,)) == 1


def test_a_trial_that_fails_while_settings_are_compared_is_told_and_run_again(
    tmp_path, monkeypatch
):
    found, ran, said = compared(tmp_path, monkeypatch, fails=lambda part, *_: part != 2)
    assert [[r.settings["part"] for r in one.rungs] for one in found] == [[8, 4, 2]] * 2
    told = "it is not known whether its settings change its result: a trial with part 8"
    assert sum(told in line for line in said) == 2
    assert ran.count((8,)) == 2


def test_a_difference_that_could_not_be_tried_again_leaves_the_first_settings_alone(
    tmp_path, monkeypatch
):
    found, ran, said = compared(
        tmp_path, monkeypatch, fails=lambda _, *marks_at: marks_at
    )
    assert [[r.settings["part"] for r in one.rungs] for one in found] == [[8], [8]]
    assert sum("a trial with part 2 failed" in line for line in said) == 2
    assert ran.count((2, 8)) == 2

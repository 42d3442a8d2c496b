"""A setting that a trial shows to be refused is offered to nobody."""

from __future__ import annotations

from types import SimpleNamespace

from lowmem.base.clock import SystemClock
from lowmem.base.errors_setting import SettingRefusedError
from lowmem.base.workspace import Workspace
from lowmem.protocol.messages import (
    SETTING_REFUSED_ERROR,
    Planned,
    PlannedRung,
    PlannedTrial,
)
from lowmem.supervisor import prepare
from lowmem.supervisor.remembered import TrialPeak
from lowmem.supervisor.trials import Bench
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
    bench = Bench(
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

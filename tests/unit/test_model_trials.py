"""How a trial of a model ended: by the model's need, by others, or by an error of its own."""

from __future__ import annotations

import signal
from types import SimpleNamespace

import numpy as np
import pytest

from lowmem.base.child import Exit
from lowmem.base.clock import SystemClock
from lowmem.base.errors import ReportedError, StoppedError
from lowmem.inline.running import _shapes_text
from lowmem.memory.budget import RamBudget
from lowmem.protocol.messages import (
    DEVICE_MEMORY_ERROR,
    MEMORY_ERROR,
    Committed,
    Cycle,
    Failed,
)
from lowmem.supervisor import model_trials
from lowmem.supervisor.endings import Broke
from lowmem.supervisor.model_trials import Ended, how_ended

GIB, MIB = 2**30, 2**20
REFUSED = Failed(kind=MEMORY_ERROR, exit_code=73, message="MemoryError: no message")
COMMITTED = Committed(
    cycle=Cycle(
        index=0, items=1, started_at="", seconds=1.0, commit_seconds=0.0, settings={}
    ),
    ram_returned_bytes=None,
)


def judged(tmp_path, *, answer=None, stop=None, others=0, status=-9, printed=""):
    """Return how a trial in 1 GiB ended, of which others had taken so many bytes."""
    log = tmp_path / "log"
    log.write_text(printed)
    watched = SimpleNamespace(
        ending=stop,
        watch=SimpleNamespace(budget=RamBudget(limit_bytes=GIB)),
        tree=SimpleNamespace(unmapped_bytes=others),
        worker=SimpleNamespace(wait=lambda: Exit(status=status, peak_bytes=0)),
    )
    return how_ended(SimpleNamespace(watched=watched, answer=answer), "job", log)


def test_a_trial_that_commits_is_whole_whatever_others_have_taken(tmp_path):
    assert judged(tmp_path, answer=COMMITTED, others=GIB // 2) == "whole"


def test_a_kill_is_the_models_where_its_own_memory_passes_the_budget(tmp_path):
    own = Broke(verdict="ram_limit", ram_bytes=GIB)
    assert judged(tmp_path, stop=own) == "stopped"
    with_others = Broke(verdict="ram_limit", ram_bytes=GIB, unmapped_bytes=GIB // 4)
    assert judged(tmp_path, stop=with_others, others=GIB // 4) == "disturbed"
    full = Broke(verdict="machine_limit", ram_bytes=GIB // 4)
    assert judged(tmp_path, stop=full) == "disturbed"


def test_a_refused_allocation_is_the_models_unless_others_left_it_too_little(tmp_path):
    assert judged(tmp_path, answer=REFUSED) == "stopped"
    # Less than lies between what is held and the kill: it would not have held either.
    assert judged(tmp_path, answer=REFUSED, others=16 * MIB) == "stopped"
    assert judged(tmp_path, answer=REFUSED, others=64 * MIB) == "disturbed"
    on_device = Failed(kind=DEVICE_MEMORY_ERROR, exit_code=73, message="out of memory")
    assert judged(tmp_path, answer=on_device, others=64 * MIB) == "stopped"


def test_a_death_without_a_word_is_told_by_its_signal_and_its_last_words(tmp_path):
    aborted = {"status": -signal.SIGABRT, "printed": "what():  std::bad_alloc"}
    assert judged(tmp_path, **aborted) == "stopped"
    assert judged(tmp_path, **aborted, others=64 * MIB) == "disturbed"
    # The kernel's own killer, or somebody's.
    assert judged(tmp_path, status=-signal.SIGKILL) == "disturbed"
    with pytest.raises(ReportedError, match="status -11") as caught:
        judged(tmp_path, status=-signal.SIGSEGV, printed="Fatal Python error")
    assert caught.value.traceback == "Fatal Python error"


def test_an_error_of_the_models_own_code_ends_the_plan_with_its_traceback(tmp_path):
    failed = Failed(
        kind="KeyError", exit_code=70, message="KeyError: 'x'", traceback="net.py"
    )
    with pytest.raises(ReportedError, match="cannot be tried: KeyError") as caught:
        judged(tmp_path, answer=failed)
    assert (caught.value.exit_code, caught.value.traceback) == (70, "net.py")


def test_a_plan_that_is_no_longer_wanted_says_so(tmp_path):
    with pytest.raises(StoppedError, match="while its memory was being measured"):
        judged(tmp_path, stop=Broke(verdict="signal"))


@pytest.mark.parametrize("asked", [1, 2, 3, 64])
def test_memory_of_others_in_the_first_trials_is_never_the_models(monkeypatch, asked):
    """Of a batch below the smallest trial, too: nothing was tried of it."""
    disturbed = Ended(outcome="disturbed", ram_bytes=MIB, vram_bytes=None)
    monkeypatch.setattr(model_trials, "_tried", lambda *_: disturbed)
    order = SimpleNamespace(name="net", ram_budget_bytes=GIB, vram_budget_bytes=None)
    bench = SimpleNamespace(device="cpu", clock=SystemClock())
    with pytest.raises(ReportedError, match="Nothing is known of the model"):
        model_trials.tried_batches(order, bench, asked, say=lambda _: None)


def test_sizes_of_a_row_that_are_typed_stay_what_they_are():
    assert _shapes_text("128,16") == "128,16"
    assert _shapes_text((128, 16)) == "128,16"
    assert _shapes_text([(128, 16), (3,)]) == "128,16;3"
    assert _shapes_text([np.array([4, 2])]) == "4,2"

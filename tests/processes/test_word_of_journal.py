"""What a journal says of a run is not taken for the word of the user who repairs it."""

from __future__ import annotations

import pytest

from lowmem.base.errors import LowmemError
from lowmem.base.workspace import Workspace
from lowmem.history.job_history import DoneRun
from lowmem.pipeline.compose import order_of, orders_of
from lowmem.pipeline.orders import RunOptions
from lowmem.protocol.records import JobBegun, JobEnded
from lowmem.supervisor import planner
from lowmem.supervisor.order import plan_request

# A plan counts the process that asks for it, which others may have filled.
pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.alone]

THEIRS = "w.theirs:build"


@pytest.fixture
def space(tmp_path, monkeypatch):
    """A workspace that brought a module, which leaves a mark where it is imported."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    space = Workspace.at(tmp_path / "w")
    space.root.mkdir()
    (space.root / "theirs.py").write_text("open('was-run', 'w')\n")
    return space


def recorded(job, **recipe):
    begun = JobBegun(
        job=job, at="", reference=job, recipe={"seed": 1, **recipe}, unit="rows"
    )
    ended = JobEnded(job=job, at="", state="done", exit_code=0)
    return DoneRun(job=job, begun=begun, ended=ended)


def planned(order, space):
    return planner.plan(plan_request(order, space, "cpu"))


def typed(space, *words, is_timed=True, job="train"):
    options = RunOptions(extra=words, ram_budget="1G", quiet=True)
    (order,) = orders_of(job, space, options, is_timed=is_timed).jobs
    return order


def test_a_train_of_the_journal_asks_for_the_word_and_gives_none(space, tmp_path):
    order = order_of(recorded("train", model=THEIRS, code=THEIRS), space)
    assert order.typed == ()
    assert order.options["model"] == THEIRS
    # No recipe holds it, so a journal that does was written by somebody else.
    assert order.options["code"] is None
    with pytest.raises(LowmemError, match=f"journal names {THEIRS}"):
        planned(order, space)
    assert not list((tmp_path / "state").rglob("*.json"))
    # A plan is a dry command: it takes the word, and keeps none.
    planned(typed(space, "--model", THEIRS, is_timed=False), space)
    with pytest.raises(LowmemError, match=f"journal names {THEIRS}"):
        planned(order, space)
    # Once it was typed to run, it is repaired unasked.
    assert planned(typed(space, "--model", THEIRS), space).missing
    assert planned(order, space).missing
    assert not (tmp_path / "was-run").exists()


def test_the_options_of_this_line_are_known_however_they_are_typed(space):
    (space.root / "lowmem.toml").write_text("[train]\nepochs = 3\n")
    assert typed(space, "--batch-size", "8", f"--model={THEIRS}").typed == (
        "batch_size",
        "model",
    )
    options = RunOptions(pins=[f"train.model={THEIRS}", "micro_batch=2"], quiet=True)
    (order,) = orders_of("train", space, options).jobs
    assert order.typed == ("model",)
    assert order.options["epochs"] == 3


@pytest.mark.parametrize("home", ["w.theirs", "w.package.theirs", "linked"])
def test_a_map_of_the_journal_runs_no_module_of_the_workspace(space, tmp_path, home):
    package = space.root / "package"
    package.mkdir()
    for name in ("__init__.py", "theirs.py"):
        (package / name).write_text("open('was-run', 'w')\n")
    (tmp_path / "linked.py").symlink_to(space.root / "theirs.py")
    run = recorded("map:out.zarr", function=f"{home}:f", source="rows.npy")
    np = pytest.importorskip("numpy")
    np.save(tmp_path / "rows.npy", np.zeros((4, 2), np.float32))
    with pytest.raises(LowmemError, match="outside the workspace"):
        planned(order_of(run, space), space)
    assert not (tmp_path / "was-run").exists()

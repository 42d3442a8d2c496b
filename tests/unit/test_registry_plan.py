"""What a planner answers of a user's own job."""

from __future__ import annotations

import inspect
import sys

import pytest

import lowmem
from lowmem.base.errors import JobDefinitionError
from lowmem.cli.main import run_command
from lowmem.protocol.messages import Plan
from lowmem.protocol.recipe import recipe_changes
from lowmem.protocol.value_checks import RESERVED
from lowmem.worker.dispatch import plan
from tests.driver import drive

SOURCE = """
import lowmem
def work(ctx):
    yield lowmem.CommitPoint()
JOB = lowmem.Job(name="own", work=work, ladder=lambda _: {ladder})
"""


@pytest.fixture(autouse=True)
def keep_the_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def planned(tmp_path, ladder="({},)"):
    path = tmp_path / "planned_job.py"
    path.write_text(SOURCE.replace("{ladder}", ladder))
    return plan(
        Plan(
            reference=str(path),
            workspace=str(tmp_path / "w"),
            options={},
            pins={},
            seed=1,
            device="cpu",
            ram_budget_bytes=10**9,
        )
    )


def test_a_mended_file_keeps_its_recipe_until_its_version_is_raised(tmp_path):
    first = planned(tmp_path)
    assert planned(tmp_path, ladder="({'block': 1},)").recipe == first.recipe
    raised = planned(tmp_path, ladder="({},), version=2")
    assert (first.recipe["version"], raised.recipe["version"]) == (1, 2)


@pytest.mark.parametrize("ladder", ["()", "[{'block': 0.5}]", "None"])
def test_a_ladder_without_a_rung_to_stand_on_is_refused(tmp_path, ladder):
    with pytest.raises(JobDefinitionError, match="expected one or more") as caught:
        planned(tmp_path, ladder=ladder)
    assert caught.value.exit_code == 70


READING = """
import lowmem
@lowmem.job(
    options=[
        lowmem.Option(name="table", kind="path"),
        lowmem.Option(name="out", kind="path", is_input=False),
    ],
    needs=lambda plan: [lowmem.Need(path=plan.workspace.root / "z.npy", job="own")],
)
def reading(ctx):
    yield lowmem.CommitPoint()
"""


def recipe_of_reading(tmp_path, **options):
    path = tmp_path / "reading_job.py"
    path.write_text(READING)
    request = Plan(
        reference=str(path),
        workspace=str(tmp_path / "w"),
        options={"table": None, "out": None, **options},
        pins={},
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
    )
    return plan(request).recipe


def test_what_a_path_or_a_need_names_is_part_of_the_recipe(tmp_path):
    need = tmp_path / "w" / "z.npy"
    need.parent.mkdir()
    need.write_bytes(b"one")
    table = tmp_path / "table.csv"
    table.write_text("3.0")
    given = {"table": str(table), "out": str(table)}
    first = recipe_of_reading(tmp_path, **given)
    table.write_text("0.0")
    second = recipe_of_reading(tmp_path, **given)
    assert list(recipe_changes(first, second)) == ["table (content)"]
    need.write_bytes(b"two")
    third = recipe_of_reading(tmp_path, **given)
    assert list(recipe_changes(second, third)) == ["z.npy (content)"]
    # An older lowmem noted none of it: its jobs go on.
    former = {name: first[name] for name in first if "(content)" not in name}
    assert not recipe_changes(former, third)


def test_a_folder_that_jobs_write_to_and_a_path_to_nothing_are_no_inputs(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "z.npy").write_bytes(b"one")
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    for path in (
        tmp_path,
        tmp_path / "w",
        tmp_path / "absent",
        tmp_path / "sub" / "..",
        tmp_path / "link",
    ):
        found = recipe_of_reading(tmp_path, table=str(path))
        assert "table (content)" not in found


@pytest.mark.parametrize("name", RESERVED)
def test_an_option_of_the_name_of_one_of_every_run_is_refused(name):
    options = [lowmem.Option(name=name, kind="int")]
    with pytest.raises(ValueError, match=rf"every run has, got \['{name}'\]"):
        lowmem.job(name="own", options=options)(lambda _: iter(()))


def test_every_option_of_a_run_is_a_name_that_jobs_cannot_take():
    of_commands = inspect.signature(run_command).parameters
    names = {name.rstrip("_") for name in of_commands} - {"context", "job", "show_help"}
    assert names <= set(RESERVED)


def test_what_was_written_and_is_named_by_no_result_is_not_lost(tmp_path):
    def forgetful(ctx):
        (ctx.staging / "out.csv").write_text("all the work")
        yield lowmem.CommitPoint(items=1)

    def careless(ctx):
        yield from forgetful(ctx)
        return lowmem.Result()

    with pytest.raises(JobDefinitionError, match=r"wrote out\.csv to ctx\.staging"):
        drive(lowmem.job()(forgetful), tmp_path)
    assert drive(lowmem.job()(careless), tmp_path) == {}

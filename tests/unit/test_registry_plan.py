"""What a planner answers of a user's own job."""

from __future__ import annotations

import sys

import pytest

from lowmem.base.errors import JobDefinitionError
from lowmem.protocol.messages import Plan
from lowmem.worker.dispatch import plan

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

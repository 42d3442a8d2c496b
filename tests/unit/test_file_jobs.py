"""Several jobs in a file, and what one says that it needs, reads and makes."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

import lowmem
from lowmem.base.errors import (
    DataError,
    JobDefinitionError,
    UnknownJobError,
    UsageError,
)
from lowmem.base.errors_results import ResultNameError, UnwrittenResultError
from lowmem.base.workspace import Workspace
from lowmem.protocol.planning import PlanContext
from lowmem.supervisor.order import is_inside
from lowmem.worker.planned_recipe import inputs_of, recipe_of
from lowmem.worker.registry import find_job
from tests.driver import drive


@pytest.fixture(autouse=True)
def keep_the_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def file(tmp_path, request):
    """Return what writes a file of jobs, with a name that no other test imports."""

    def write(body, name=None):
        stem = name or "file_" + "".join(c for c in request.node.name if c.isalnum())
        path = tmp_path / f"{stem[:60]}.py"
        path.write_text("import lowmem\n" + textwrap.dedent(body))
        return path

    return write


TWO = """
@lowmem.job(outputs=["rows.npy", "names.txt"])
def make_rows(ctx): yield

same = make_rows

@lowmem.job(needs=[make_rows, "ingest"])
def add_up(ctx): yield
"""


def plan_at(folder, **options):
    return PlanContext(
        workspace=Workspace.at(folder),
        options=options,
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
    )


@pytest.mark.parametrize("name", ["add-up", "add_up"])
def test_one_job_of_a_file_is_named_as_its_job_or_as_its_function(file, name):
    assert find_job(f"{file(TWO)}:{name}").name == "add-up"


def test_a_file_of_several_jobs_is_refused_with_their_names_and_what_to_type(file):
    path = file(TWO)
    with pytest.raises(UsageError) as caught:
        find_job(str(path))
    said = str(caught.value)
    assert "defines 2 jobs: make-rows, add-up, expected one to be named" in said
    # What it says to type does what it says.
    typed = said.split("`lowmem run ")[1].split("`", 1)[0]
    assert find_job(typed).name == "make-rows"


@pytest.mark.parametrize(
    ("reference", "error", "words"),
    [
        ("{}:ad-up", UsageError, r"no job 'ad-up' \(did you mean add-up\?\), expected"),
        ("{}:", UnknownJobError, "is unknown"),
        ("/nowhere/jobs.py:add-up", DataError, "^/nowhere/jobs.py is not there"),
    ],
)
def test_what_is_not_in_the_file_is_refused(file, reference, error, words):
    with pytest.raises(error, match=words):
        find_job(reference.format(file(TWO)))


def test_two_jobs_of_one_name_are_refused(file):
    path = file(
        """
        @lowmem.job(name="one")
        def first(ctx): yield
        @lowmem.job(name="one")
        def second(ctx): yield
        """
    )
    with pytest.raises(UsageError, match="two jobs of the name 'one'"):
        find_job(str(path))


def test_a_job_that_is_imported_is_not_the_files_own_but_may_be_needed(file, tmp_path):
    file(TWO, name="jobs_beside")
    path = file(
        """
        from jobs_beside import make_rows
        @lowmem.job(needs=[make_rows])
        def last(ctx): yield
        """
    )
    found = find_job(str(path))
    assert found.name == "last"
    needs = found.needs(plan_at(tmp_path))
    assert {need.reference for need in needs} == {f"{path}:make-rows"}
    assert find_job(f"{path}:make-rows").outputs == ("rows.npy", "names.txt")


def test_needs_name_each_result_and_the_file_is_run_first_but_no_installed_job_is(
    file, tmp_path
):
    path = file(TWO)
    needs = find_job(f"{path}:add-up").needs(plan_at(tmp_path))
    told = [(need.path, need.job, need.reference, need.options) for need in needs]
    assert told == [
        (tmp_path / "rows.npy", "make-rows", f"{path}:make-rows", {}),
        (tmp_path / "names.txt", "make-rows", f"{path}:make-rows", {}),
        (tmp_path / "images.zarr", "ingest", "", None),
    ]


def test_what_is_needed_is_part_of_the_recipe(file, tmp_path):
    job = find_job(f"{file(TWO)}:add-up")
    recipes = []
    for text in ("one", "two"):
        (tmp_path / "names.txt").write_text(text)
        plan = plan_at(tmp_path)
        recipes.append(recipe_of(job, plan, inputs_of(job, plan)))
    first, second = recipes
    assert [key for key in first if first[key] != second[key]] == [
        "names.txt (content)"
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('needs=["nothing"]', "needs job nothing, which is neither in its file nor"),
        (
            'needs=["plain"]',
            r"needs job plain, which does not say .*outputs=\[\.\.\.\]",
        ),
        ('needs=["last"]', r"needs itself \(last needs last\)"),
        ('needs=["round"]', r"needs itself \(last needs round needs last\)"),
    ],
)
def test_needs_that_cannot_be_met_are_refused_when_the_file_is_read(file, body, words):
    path = file(
        f"""
        @lowmem.job()
        def plain(ctx): yield
        @lowmem.job(name="round", needs=["last"], outputs=["r"])
        def around(ctx): yield
        @lowmem.job({body}, outputs=["l"])
        def last(ctx): yield
        """
    )
    with pytest.raises(JobDefinitionError, match=words):
        find_job(f"{path}:last")


def test_a_file_within_the_workspace_is_known_as_one_whichever_job_is_named(tmp_path):
    space = Workspace.at(tmp_path)
    references = [f"{tmp_path}/a.py", f"{tmp_path}/a.py:one", "/elsewhere/a.py:one"]
    assert [is_inside(one, space) for one in references] == [True, True, False]


# --- inputs ---------------------------------------------------------------------------


def test_inputs_are_the_path_options_that_are_named_and_no_others(tmp_path):
    @lowmem.job(inputs=["data"])
    def copies(ctx, data: Path, to: Path | None = None, bins: int = 3):
        """Copy."""
        yield ctx, data, to, bins

    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    given = {"data": str(tmp_path / "a"), "to": str(tmp_path / "b"), "bins": 3}
    assert set(inputs_of(copies, plan_at(tmp_path / "w", **given))) == {
        "data (content)"
    }


@pytest.mark.parametrize("inputs", [["bins"], ["nothing"], "data"])
def test_inputs_that_are_no_path_options_are_refused_where_they_are_written(inputs):
    with pytest.raises(ValueError, match="inputs must be"):

        @lowmem.job(inputs=inputs)
        def copies(ctx, data: Path, bins: int = 3):
            """Copy."""
            yield ctx, data, bins


# --- outputs --------------------------------------------------------------------------


def writing(names, result=None, outputs=("rows.txt", "figures")):
    @lowmem.job(outputs=list(outputs))
    def work(ctx):
        for n in range(2):
            yield ctx.commit(items=1)
            (ctx.staging / "scratch").write_text(str(n))
        for name in names:
            (ctx.staging / name).parent.mkdir(exist_ok=True)
            (ctx.staging / name).write_text(name)
        return result

    return work


ALL = ["rows.txt", "figures/a.txt"]


@pytest.mark.parametrize("result", [None, lowmem.Result(summary={"n": 2})])
def test_outputs_are_published_where_no_result_names_any(tmp_path, result):
    summary = drive(writing(ALL, result), tmp_path, leave_after=None)
    assert summary == (result.summary if result else {})
    assert (tmp_path / "rows.txt").read_text() == "rows.txt"
    assert (tmp_path / "figures" / "a.txt").read_text() == "figures/a.txt"
    assert not (tmp_path / "scratch").exists()


def test_an_output_that_was_not_written_fails_and_nothing_is_published(tmp_path):
    with pytest.raises(UnwrittenResultError, match=r"outputs=\[.*with 'figures'"):
        drive(writing(["rows.txt"]), tmp_path)
    assert not (tmp_path / "rows.txt").exists()


def test_a_result_that_leaves_an_output_out_is_refused(tmp_path):
    result = lowmem.Result(publish=["rows.txt"])
    with pytest.raises(JobDefinitionError, match="without figures, expected all of"):
        drive(writing(ALL, result), tmp_path)


@pytest.mark.parametrize("name", ["../out", "/tmp/out", ".lowmem/x", "report.html", ""])
def test_an_output_that_would_leave_the_workspace_is_refused_before_any_work(
    tmp_path, name
):
    ran = []

    @lowmem.job(outputs=[name])
    def work(ctx):
        """Run."""
        ran.append(1)
        yield ctx.commit()

    with pytest.raises(ResultNameError):
        drive(work, tmp_path)
    assert not ran


def test_needs_and_outputs_are_lists():
    with pytest.raises(ValueError, match="needs must be a list of jobs"):
        lowmem.job(needs="ingest")(writing(ALL).work)
    with pytest.raises(ValueError, match="outputs must be a list of names"):
        lowmem.job(outputs="rows.txt")

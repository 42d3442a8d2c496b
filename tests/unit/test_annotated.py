"""Options that are parameters of a job's function."""

from __future__ import annotations

import functools
import typing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import pytest

import lowmem
from lowmem.base.errors import DataError, UsageError
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem.worker.planned_recipe import inputs_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@lowmem.job(options=[lowmem.Option(name="later", kind="int", default=3)])
def features(
    ctx,
    data: Path,
    columns: list[int] = (0, 1),
    *,
    scale: float = 1.0,
    names: list[str] | None = None,
    weights: Optional[list[float]] = None,  # noqa: UP045 - people write it
    draw: bool = True,
    mode: Literal["fast", "exact"] = "exact",
    bins: Annotated[int, "Histogram bins."] = 32,
):
    """Make features."""
    yield lowmem.CommitPoint(items=1)
    ctx.seen = data, columns, scale, names, weights, draw, mode, bins


class Told:
    def __init__(self, **options):
        self.options = resolve_options("features", features.options, options)
        self.seen = None


def test_each_parameter_is_an_option_of_its_kind():
    found = {one.name: one for one in features.options}
    kinds = {name: one.kind for name, one in found.items()}
    assert kinds == {
        "data": "path", "columns": "ints", "scale": "float", "names": "texts",
        "weights": "floats", "draw": "flag", "mode": "str", "bins": "int", "later": "int",
    }  # fmt: skip
    assert [one.name for one in features.options if one.is_required] == ["data"]
    assert found["mode"].choices == ("fast", "exact")
    assert found["bins"].help == "Histogram bins."
    assert (features.name, features.summary) == ("features", "Make features.")


def test_the_function_is_called_with_their_values(tmp_path):
    told = Told(data=str(tmp_path), names="a,b", draw="no", bins="8")
    list(features.work(told))
    seen = (tmp_path, (0, 1), 1.0, ["a", "b"], None, False, "exact", 8)
    assert told.seen == seen


def test_what_must_be_given_is_asked_for_by_name():
    with pytest.raises(
        UsageError, match=r"--data of job features is not given.*a path"
    ):
        Told(bins=3)
    with pytest.raises(UsageError, match="fast or exact"):
        Told(data="x", mode="slow")


def test_a_path_that_must_be_given_leads_somewhere(tmp_path):
    def looked_at(path):
        context = PlanContext(
            workspace=Workspace.at(tmp_path / "work"),
            options=Told(data=str(path)).options,
            seed=1,
            device="cpu",
            ram_budget_bytes=10**9,
        )
        return inputs_of(features, context)

    (tmp_path / "table").write_text("1,2")
    assert [one.path for one in looked_at(tmp_path / "table").values()] == [
        str(tmp_path / "table")
    ]
    with pytest.raises(DataError, match=r"nowhere is missing.*that --data names"):
        looked_at(tmp_path / "nowhere")


def test_a_function_without_parameters_is_the_work_itself():
    def plain(ctx):
        yield ctx

    assert lowmem.job()(plain).work is plain


def written_otherwise(
    ctx,
    ones: typing.List[int] = (1,),  # noqa: UP006 - people write it
    count: Annotated[int, "How many."] | None = None,
    place: Path = Path("~/table"),
) -> Iterator[object]: ...


def test_annotations_may_be_written_in_any_way_and_others_are_not_looked_at():
    own = lowmem.job()(written_otherwise)
    assert [one.kind for one in own.options] == ["ints", "int", "path"]
    assert own.options[1].help == "How many."
    # A path by default is what it is when it is typed.
    given = resolve_options("own", own.options, {})
    assert given["place"] == str(Path("~/table").expanduser())


def unknown_name(ctx, one: Iterator): ...


def test_a_name_that_is_not_there_at_run_time_is_told_with_its_parameter():
    with pytest.raises(TypeError, match=r"parameter one.*'Iterator' is not defined"):
        lowmem.job()(unknown_name)


def test_part_of_a_function_has_no_options_of_its_own():
    def work(ctx, rows):
        yield ctx, rows

    own = lowmem.job(name="own")(functools.partial(work, rows=3))
    assert own.options == ()


def wrong_kind(ctx, table: dict): ...
def wrong_union(ctx, one: int | str = 1): ...
def wrong_choice(ctx, one: Literal[1, 2] = 1): ...
def unannotated(ctx, one=1): ...
def any_number(ctx, *ones: int): ...
def no_context(): ...


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (wrong_kind, "parameter table of job wrong_kind is .*expected int, float"),
        (wrong_union, "parameter one of job wrong_union"),
        (wrong_choice, "parameter one of job wrong_choice"),
        (unannotated, "parameter one of job unannotated has no annotation"),
        (any_number, "takes any number of values"),
        (no_context, r"takes no context, expected def no_context\(ctx"),
    ],
)
def test_what_no_option_can_be_is_refused_where_it_is_written(function, told):
    with pytest.raises(TypeError, match=told):
        lowmem.job()(function)


def wrong_default(ctx, one: int = "many"): ...
def wrong_choice_by_default(ctx, one: Literal["a", "b"] = "c"): ...
def infinite(ctx, one: float = float("inf")): ...
def no_number(ctx, ones: list[float] = (1.0, float("nan"))): ...
def reserved(ctx, seed: int = 1): ...
def twice(ctx, later: int = 1): ...


@pytest.mark.parametrize(
    "function",
    [wrong_default, wrong_choice_by_default, infinite, no_number, reserved, twice],
)
def test_a_default_of_another_kind_and_a_name_that_is_taken_are_refused(function):
    later = lowmem.Option(name="later", kind="int")
    with pytest.raises(ValueError, match="must be"):
        lowmem.job(options=[later])(function)

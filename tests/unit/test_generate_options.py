"""Job `generate`: which options are refused, and what the others mean."""

from __future__ import annotations

import json

import pytest

from lowmem.base.errors import DataError, OptionValueError
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem_jobs.generate.job import JOB
from lowmem_jobs.generate.option_values import (
    METHODS,
    method_of,
    methods_of,
    n_decoded,
    n_scored,
    sigma_of,
)

N_IMAGES, D = 10, 4


def add_array(path, shape) -> None:
    """Write the metadata of an array: all that a planner reads."""
    path.mkdir(parents=True)
    document = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": shape,
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
        "attributes": {},
    }
    (path / "zarr.json").write_text(json.dumps(document))


@pytest.fixture
def space(tmp_path):
    space = Workspace.at(tmp_path)
    add_array(space.images / "images", [N_IMAGES, 8, 8, 3])
    add_array(space.analysis / "mean", [D])
    return space


def options_of(**given):
    return resolve_options("generate", JOB.options, given)


def plan(space, **given):
    return PlanContext(
        workspace=space,
        options=options_of(**given),
        seed=1,
        device="cpu",
        ram_budget_bytes=2 * 10**9,
    )


ENDS = {"from_index": 0, "to_index": N_IMAGES - 1}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"quantile": 1.5}, r"--quantile is 1\.5"),
        ({"method": "path"}, "--from-index is None, expected a row of images"),
        ({"method": "path", "from_index": 1}, "--to-index is None"),
        ({"method": "path", "from_index": 1, "to_index": 1}, "another row"),
        ({"method": "path", "from_index": N_IMAGES, "to_index": 1}, "0 to 9"),
        ({"method": "path", "from_index": 1, "to_index": 99}, "--to-index is 99"),
        ({"method": "path", **ENDS, "components": 2}, "not path"),
        ({"from_index": 1}, "--from-index is 1, expected none without --method path"),
        ({"path_kind": "radius"}, "--path-kind is 'radius', expected none without"),
        ({"near": N_IMAGES}, "--near is 10, expected a row of images.zarr, 0 to 9"),
        ({"near": 1, "method": "ellipses"}, "--method is 'ellipses', expected none"),
        ({"near": 1, "components": 2}, "not near"),
        ({"vectors": "z.npy"}, "expected none without --near or --method path"),
        ({"components": D + 1}, "--components is 5, expected at most 4"),
        ({"method": "uniform", "components": 2}, "not uniform"),
        ({"method": "independent", "components": 2}, "not independent"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant_are_refused_before_any_work(space, given, told):
    with pytest.raises(OptionValueError, match=told):
        JOB.check(plan(space, **given))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"method": "path", **ENDS},
        {"method": "path", **ENDS, "path_kind": "radius"},
        {"near": N_IMAGES - 1},
        {"components": D},
        {"method": "all", "components": 1},
        {"method": "ball", "components": 2, "quantile": 1.0},
    ],
    ids=str,
)
def test_options_that_make_sense_together_are_taken(space, given):
    JOB.check(plan(space, **given))


def test_rows_are_not_judged_where_no_images_are_and_then_images_are_needed(tmp_path):
    space = Workspace.at(tmp_path)
    JOB.check(plan(space, near=10**6, components=None))
    assert space.images in {need.path for need in JOB.needs(plan(space, near=1))}
    assert space.images not in {need.path for need in JOB.needs(plan(space))}
    other = plan(space, near=10**6, vectors=str(tmp_path / "z.npy"))
    with pytest.raises(DataError, match=r"z\.npy is missing"):
        JOB.check(other)
    (tmp_path / "z.npy").write_bytes(b"vectors")
    JOB.check(other)
    assert space.images not in {need.path for need in JOB.needs(other)}


def test_a_method_is_what_was_asked_for_and_ellipses_otherwise():
    assert method_of(options_of()) == "ellipses"
    assert methods_of(options_of(method="ball")) == ("ball",)
    assert methods_of(options_of(method="all")) == METHODS
    assert methods_of(options_of(near=3)) == ("near",)
    assert [sigma_of(options_of(**one)) for one in ({}, {"near": 3})] == [3.0, 0.5]
    assert sigma_of(options_of(near=3, sigma=1.25)) == 1.25


def test_all_methods_are_tried_before_a_run_and_more_is_predicted_for_more(space):
    (one, *_), (all_of_them, *_) = (
        JOB.calibrate(plan(space, method=method)).trials for method in ("mvn", "all")
    )
    assert all_of_them.points - one.points == len(METHODS) - 1
    rung, *_ = JOB.ladder(plan(space))
    few, many = (
        JOB.predict(plan(space, count=count), rung).ram_bytes for count in (64, 4096)
    )
    assert few < many


@pytest.mark.parametrize(
    ("given", "decoded", "scored"),
    [
        ({"count": 9}, 9, 9),
        ({"count": 9, "images": 4}, 4, 4),
        ({"count": 9, "images": 10}, 9, 9),
        ({"count": 10**6, "images": 5000}, 5000, 4096),
    ],
)
def test_the_first_vectors_become_images_and_the_first_of_these_are_scored(
    given, decoded, scored
):
    assert n_decoded(options_of(**given)) == decoded
    assert n_scored(options_of(**given)) == scored

"""What `make matrix` installs and how it compares: a check that could not fail is none."""

from __future__ import annotations

import json
import tomllib

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.matrix import table
from tests.matrix.compare import compared, differences
from tests.matrix.rows import FOLDER, PROJECT, REFERENCE, ROWS, oldest


def test_only_the_same_bits_count_as_no_difference():
    one = np.array([0.0, 1.0, np.nan, 4.0])
    assert compared({"a:x": one}, {"a:x": one.copy()}) == {"a": 0.0}
    moved = np.array([0.0, 1.0, np.nan, 5.0])
    assert compared({"a:x": one}, {"a:x": moved}) == {"a": 0.25}
    minus_zero = one * [-1.0, 1.0, 1.0, 1.0]
    assert compared({"a:x": one}, {"a:x": minus_zero})["a"] > 0.0
    other_type = one.astype(np.float32)
    assert compared({"a:x": one}, {"a:x": other_type})["a"] > 0.0


def test_what_is_absent_or_has_another_form_is_never_equal():
    one, two = np.zeros(3), np.zeros(4)
    assert compared({"a:x": one}, {"a:x": two}) == {"a": None}
    assert compared({"a:x": one, "a:y": one}, {"a:x": one}) == {"a": None}
    assert compared({"a:x": np.zeros(1)}, {"a:x": np.array([np.nan])})["a"] == np.inf


def test_the_largest_difference_of_a_result_counts():
    one = {"a:x": np.ones(2), "a:y": np.ones(2), "b:x": np.ones(2)}
    two = {"a:x": np.ones(2), "a:y": np.array([1.0, 1.5]), "b:x": np.ones(2)}
    assert compared(one, two) == {"a": 0.5, "b": 0.0}


def changed_by_installing(requirements, there):
    """Return the requirements that a list's own release of a package does not meet."""
    return [
        text
        for text in requirements
        for need in [Requirement(text)]
        if (release := there.get(canonicalize_name(need.name))) is not None
        and not need.specifier.contains(release, prereleases=True)
    ]


@pytest.mark.parametrize(
    "file", sorted(FOLDER.glob("colab-*.txt")), ids=lambda f: f.stem
)
def test_what_colab_has_is_new_enough_for_every_dependency_and_extra(file):
    lines = [line for line in file.read_text().splitlines() if "==" in line]
    there = {canonicalize_name(n): v for n, v in (line.split("==") for line in lines)}
    project = tomllib.loads(PROJECT.read_text())["project"]
    needed = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        needed += extra
    met = {canonicalize_name(Requirement(text).name) for text in needed} & set(there)
    assert {"keras", "numpy", "psutil", "pillow"} <= met
    assert changed_by_installing(needed, there) == []


def test_a_bound_above_what_colab_has_is_seen():
    assert changed_by_installing(["psutil>=6"], {"psutil": "5.9.5"}) == ["psutil>=6"]


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_every_dependency_has_an_oldest_release(backend):
    lines = oldest(backend)
    assert any(line.startswith("zarr==3.") for line in lines)
    assert any(line.startswith(f"{backend}==") for line in lines)
    assert len(lines) > 10


def test_rows_have_names_of_their_own_and_lists_that_are_there():
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {"3.11", "3.12", "3.13"} == {row.python for row in ROWS}
    for row in ROWS:
        assert row.like in {None, REFERENCE}
        if row.before is not None:
            assert "\nkeras==" in row.before.read_text()


def test_the_page_says_what_was_run_what_differs_and_what_is_missing(tmp_path):
    names = (REFERENCE, "python-3.13")
    for name, shift in zip(names, (0.0, 0.25), strict=True):
        (tmp_path / name).mkdir()
        facts = {"versions": {"python": "3.x"}, "seconds": 1.0}
        facts |= {"tests": 10, "minutes": 2.0}
        (tmp_path / name / "facts.json").write_text(json.dumps(facts))
        same, other = np.ones(3), np.array([1.0, 1.0 + shift])
        np.savez(tmp_path / name / "numbers.npz", **{"z:": same, "w:": other})
    assert differences(*(tmp_path / n / "numbers.npz" for n in names)) == {
        "w": 0.25,
        "z": 0.0,
    }
    told = {"from": REFERENCE, "to": "python-3.13", "apart": {"w": 0.0}, "moves": "x"}
    (tmp_path / "across.json").write_text(json.dumps([told]))
    (tmp_path / "ipythons.json").write_text('["8.5.0", "9.0.2"]')
    table.write(tmp_path, tmp_path / "page.md", reference=REFERENCE)
    page = (tmp_path / "page.md").read_text()
    assert f"| {REFERENCE} | python-3.13 | equal | x |" in page
    assert "| python-3.13 | 2e-01 | equal |" in page
    assert "Not run to their end: oldest," in page
    assert "between: 8.5.0, 9.0.2." in page

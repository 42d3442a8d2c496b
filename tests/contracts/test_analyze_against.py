"""Two studies side by side: `analyze --against`, what it shows and what it refuses."""

from __future__ import annotations

import csv
import json
import re
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError, OptionValueError
from lowmem_jobs.analyze import side_by_side
from lowmem_jobs.analyze.canvas import drawing
from lowmem_jobs.analyze.job import JOB
from tests.analyzing import plan, study


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    rng = np.random.default_rng(1)
    workspace = tmp_path_factory.mktemp("other") / "heavy"
    study(workspace, rng.standard_t(5, size=(1200, 3)) * [3, 2, 1])
    return workspace


@pytest.fixture
def other(tmp_path, analyzed):
    return Path(shutil.copytree(analyzed, tmp_path / "heavy"))


@pytest.fixture
def normal():
    return np.random.default_rng(2).normal(size=(900, 4))


def test_every_measure_is_that_of_the_summary_it_was_taken_from(
    tmp_path, other, normal
):
    here, said = study(tmp_path / "normal", normal, against=str(other))
    there = json.loads((other / "analysis" / "summary.json").read_bytes())
    found = here["against"]
    assert found["workspace"] == "heavy"
    for name, summary in (("here", here), ("there", there)):
        wanted = {
            "n_rows_kept": summary["n_rows_kept"],
            "effective_share": summary["effective_dimension"] / summary["n_features"],
            "components_for_0.9": summary["components_for_variance"]["0.9"],
            "radius_kolmogorov": summary["radius"]["kolmogorov"],
            "components_pca_abs_excess_kurtosis": np.median(
                np.abs(summary["components_pca"]["excess_kurtosis"])
            ),
            "pairs_coverage_2.5sigma": summary["pairs"]["coverage"]["2.5sigma"][
                "median"
            ],
            "pairs_contour_iou": summary["pairs"]["contour_iou"]["median"],
        }
        for measure, value in wanted.items():
            assert found["measures"][measure][name] == pytest.approx(value), measure
        radius = summary["radius"]
        away = radius["mardia_kurtosis"] - radius["mardia_kurtosis_gaussian"]
        errors = away / radius["mardia_kurtosis_standard_error"]
        assert found["measures"]["radius_mardia_errors"][name] == pytest.approx(errors)
    row = found["measures"]["pairs_mardia_kurtosis"]
    assert row["difference"] == row["here"] - row["there"] < -2
    assert row["gaussian"] == 8
    assert any("pairs_mardia_kurtosis" in line for line in said.lines)


def test_the_table_has_the_same_numbers_as_the_summary(tmp_path, other, normal):
    here, _ = study(tmp_path / "normal", normal, against=str(other))
    path = tmp_path / "normal" / "analysis" / "comparison.csv"
    with path.open(newline="") as stream:
        table = {row.pop("measure"): row for row in csv.DictReader(stream)}
    measures = here["against"]["measures"]
    assert list(table) == list(measures)
    for measure, row in table.items():
        found = {name: float(text) if text else None for name, text in row.items()}
        assert found == measures[measure]


def test_what_was_made_differently_is_said(tmp_path, other, normal):
    options = {"against": str(other), "trim_fwhm": "1.8", "pairs": "2"}
    here, said = study(tmp_path / "normal", normal, **options)
    unlike = ["n_rows_kept", "n_features", "trim_fwhm", "pairs"]
    assert here["against"]["unlike"] == unlike
    assert said.lines[-1] == f"made differently: {', '.join(unlike)}"
    rows = np.random.default_rng(3).normal(size=(1200, 3))
    alike, said = study(tmp_path / "alike", rows, against=str(other))
    assert alike["against"]["unlike"] == []
    assert "made differently" not in said.lines[-1]


def test_a_study_without_another_has_no_table(other):
    assert not (other / "analysis" / "comparison.csv").exists()
    summary = json.loads((other / "analysis" / "summary.json").read_bytes())
    assert summary["against"] is None


@pytest.mark.slow
def test_both_studies_are_drawn_even_where_one_has_constants_only(tmp_path, normal):
    study(tmp_path / "constant", np.full((9, 3), 2.5))
    options = {"against": str(tmp_path / "constant"), "figures": True}
    here, _ = study(tmp_path / "normal", normal, **options)
    picture = tmp_path / "normal" / "analysis" / "figures" / "comparison.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert here["against"]["measures"]["pairs_contour_iou"]["there"] is None


@pytest.mark.slow
def test_the_figure_shows_all_of_both_studies_and_says_in_which_frame(
    tmp_path, monkeypatch, normal
):
    wide = np.random.default_rng(3).normal(size=(900, 9))
    study(tmp_path / "wide", wide, frame="pca")
    seen = {}

    @contextmanager
    def watched(path, **size):
        with drawing(path, **size) as figure:
            yield figure
            for panel in figure.axes:
                ends = [line.get_xdata() for line in panel.lines]
                low, high = panel.get_xlim()
                seen[panel.get_title()] = all(
                    np.min(x) >= low and np.max(x) <= high for x in ends if len(x) > 2
                )

    monkeypatch.setattr(side_by_side, "drawing", watched)
    options = {"against": str(tmp_path / "wide"), "figures": True}
    study(tmp_path / "normal", normal, **options)
    assert len(seen) == 4
    assert "Pairs (raw, the other pca)" in seen
    assert all(seen.values()), seen


# --- what it refuses ------------------------------------------------------------------


@pytest.mark.parametrize("lacks", ["workspace", "analysis.zarr", "summary"])
def test_a_workspace_without_an_analysis_is_refused_before_the_run(
    tmp_path, other, lacks
):
    if lacks == "workspace":
        other.rename(tmp_path / "gone")
    elif lacks == "summary":
        (other / "analysis" / "summary.json").unlink()
    else:
        (other / "analysis.zarr").rename(tmp_path / "gone")
    np.save(tmp_path / "z.npy", np.zeros((9, 2)))
    options = {"latents": str(tmp_path / "z.npy"), "against": str(other)}
    with pytest.raises(DataError, match=r"heavy (is missing|has no analysis)") as error:
        JOB.inputs(plan(tmp_path / "here", options))
    assert error.value.exit_code == 65
    assert f"lowmem run analyze --workspace {other}" in str(error.value)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (b"{}", "lacks what is compared"),
        (b'{"n_rows_kept": "many"}', "lacks what is compared"),
        (b"[1, 2", "cannot be read"),
    ],
)
def test_a_summary_that_lacks_what_is_compared_is_refused_before_any_work(
    tmp_path, other, normal, document, problem
):
    (other / "analysis" / "summary.json").write_bytes(document)
    with pytest.raises(DataError, match=problem):
        study(tmp_path / "here", normal, against=str(other))
    assert not (tmp_path / "here" / "analysis.zarr").exists()


def test_a_damaged_store_of_the_other_is_refused(tmp_path, other, normal):
    for chunk in (other / "analysis.zarr" / "explained_variance_ratio").glob("c*"):
        chunk.unlink()
    with pytest.raises(DataError, match=re.escape("explained_variance_ratio")):
        study(tmp_path / "here", normal, against=str(other))


def test_a_workspace_is_not_compared_with_itself(tmp_path):
    with pytest.raises(OptionValueError, match="--against"):
        JOB.check(plan(tmp_path / "a", {"against": str(tmp_path / "a" / ".." / "a")}))


def test_the_other_study_is_an_input_of_the_recipe(tmp_path, other):
    np.save(tmp_path / "z.npy", np.zeros((9, 2)))
    options = {"latents": str(tmp_path / "z.npy"), "against": str(other)}
    before = JOB.inputs(plan(tmp_path / "here", options))
    study(tmp_path / "second", np.random.default_rng(4).normal(size=(1200, 3)))
    other.rename(tmp_path / "first")
    (tmp_path / "second").rename(other)
    after = JOB.inputs(plan(tmp_path / "here", options))
    assert {k for k in after if after[k] != before[k]} == {"against", "against summary"}
    # As many rows and components: only the numbers tell them apart.
    store = zarr.open_group(other / "analysis.zarr", mode="r")
    assert store["mean"].shape == (3,)

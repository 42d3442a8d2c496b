"""The job `analyze`: what it writes, against simple answers, and of which data."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from lowmem.base.errors import OptionValueError
from lowmem.stores.row_writer import RowWriter
from lowmem_jobs.analyze.job import JOB
from tests.analyzing import analyze, plan, rows_of, save

ROOT = Path(__file__).parents[2]


@pytest.fixture
def rows():
    return rows_of()


# --- what it writes -------------------------------------------------------------------


def test_the_store_holds_what_numpy_and_scipy_find(tmp_path, rows):
    store, summary = analyze(tmp_path, save(tmp_path / "z.npy", rows))
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(store["mean"], exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(store["covariance"], np.cov(exact.T), rtol=1e-10)
    np.testing.assert_allclose(store["correlation"], np.corrcoef(exact.T), rtol=1e-10)
    np.testing.assert_allclose(store["skewness"], stats.skew(exact), atol=1e-9)
    np.testing.assert_allclose(store["kurtosis"], stats.kurtosis(exact), atol=1e-9)
    reference = PCA(svd_solver="full").fit(exact)
    np.testing.assert_allclose(
        store["eigenvalues"], reference.explained_variance_, rtol=1e-9
    )
    np.testing.assert_allclose(
        store["explained_variance_ratio"],
        reference.explained_variance_ratio_,
        rtol=1e-9,
    )
    turned = np.abs(store["components"][:] @ reference.components_.T)
    np.testing.assert_allclose(turned, np.eye(5), atol=1e-7)
    assert summary["largest_correlation_pca"] < 2e-7
    assert summary["components_pca"]["excess_kurtosis"] == pytest.approx(
        stats.kurtosis(reference.transform(exact)), abs=1e-6
    )


def test_every_pair_has_its_coverage_and_its_measures(tmp_path, rows):
    store, summary = analyze(tmp_path, save(tmp_path / "z.npy", rows))
    pairs = store["pairs"]
    i, j = np.triu_indices(5, k=1)
    np.testing.assert_array_equal(pairs["i"], i)
    np.testing.assert_array_equal(pairs["j"], j)
    for k, pair in enumerate(zip(i, j, strict=True)):
        two = rows[:, pair].astype(np.float64)
        away = two - two.mean(axis=0)
        inverse = np.linalg.inv(np.cov(two.T, bias=True))
        r2 = np.einsum("ki,ij,kj->k", away, inverse, away)
        assert pairs["coverage_2sigma"][k] == pytest.approx((r2 <= 4).mean())
        assert pairs["mardia_kurtosis"][k] == pytest.approx((r2**2).mean())
        assert 0.3 < pairs["contour_iou"][k] <= 1
    assert summary["pairs"]["n_measured"] == 10
    assert summary["pairs"]["n_left_out"] == 0


def test_pairs_after_pca_are_uncorrelated(tmp_path, rows):
    options = {**save(tmp_path / "z.npy", rows), "frame": "pca"}
    store, summary = analyze(tmp_path, options)
    assert np.abs(store["pairs"]["rho"][:]).max() < 1e-9
    exact = rows.astype(np.float64)
    white = PCA(whiten=True).fit_transform(exact) * np.sqrt(900 / 899)
    wanted = (np.square(white[:, :2]).sum(axis=1) <= 4).mean()
    assert store["pairs"]["coverage_2sigma"][0] == pytest.approx(wanted)
    assert summary["pairs"]["frame"] == "pca"


def test_trimming_drops_the_rows_that_stick_out(tmp_path, rows):
    rows[7, 2] += 60
    everything, _ = analyze(tmp_path / "all", save(tmp_path / "z.npy", rows))
    options = {**save(tmp_path / "z.npy", rows), "trim_fwhm": "1.8"}
    store, summary = analyze(tmp_path / "cut", options)
    n_after = summary["trimming"]["n_after"]
    assert summary["trimming"]["n_before"] == 900
    assert summary["n_rows_kept"] == n_after
    assert 700 < n_after < 900
    table = {row["factor"]: row for row in summary["trimming"]["survivors"]}
    assert table[1.8]["survivors"] == n_after
    assert [row["survivors"] for row in table.values()] == sorted(
        row["survivors"] for row in table.values()
    )
    # The outlier had most of the variance of its component.
    assert store["covariance"][2, 2] < 0.9 * everything["covariance"][2, 2]
    centre = np.median(rows, axis=0)
    outlier = np.abs(store["maximum"][:] - centre).max()
    assert outlier < 50


def test_the_radius_before_and_after_trimming_are_both_told(tmp_path, rows):
    rows[7, 2] += 60
    options = {**save(tmp_path / "z.npy", rows), "trim_fwhm": "1.8"}
    _, summary = analyze(tmp_path, options)
    away = rows - rows.mean(axis=0, dtype=np.float64)
    inverse = np.linalg.inv(np.cov(away.T, bias=True))
    r2 = np.einsum("ki,ij,kj->k", away, inverse, away)
    before = summary["radius_of_all_rows"]["mardia_kurtosis"]
    assert before == pytest.approx((r2**2).mean(), rel=1e-6)
    assert summary["radius"]["mardia_kurtosis"] < 0.5 * before
    assert summary["core"] is None


def test_the_core_of_a_gaussian_is_the_gaussian_and_outliers_do_not_move_it(tmp_path):
    clean = np.random.default_rng(3).normal(size=(20_000, 4))
    options = {**save(tmp_path / "z.npy", clean), "core": "0.8"}
    store, summary = analyze(tmp_path, options)
    np.testing.assert_allclose(store["core_mean"][:], 0, atol=0.03)
    np.testing.assert_allclose(store["core_covariance"][:], np.eye(4), atol=0.04)
    core = summary["core"]
    assert core["is_settled"]
    assert core["variance_ratio"] == pytest.approx(1, abs=0.02)
    assert core["n_inside"] == pytest.approx(16_000, abs=200)
    clean[:1000] *= 20
    options = {**save(tmp_path / "o.npy", clean), "core": "0.8"}
    store, summary = analyze(tmp_path / "outliers", options)
    covariance = store["core_covariance"][:]
    np.testing.assert_allclose(covariance, np.eye(4), atol=0.15)
    core = summary["core"]
    assert core["variance_ratio"] == pytest.approx(
        np.trace(covariance) / np.trace(store["covariance"][:])
    )
    assert core["variance_ratio"] * clean.var(axis=0).sum() == pytest.approx(4, rel=0.1)
    assert core["n_inside"] < 16_000
    with pytest.raises(OptionValueError, match="--core"):
        JOB.check(plan(tmp_path, {**options, "core": "1"}))


def test_only_the_strongest_pairs_are_measured_when_asked(tmp_path, rows):
    options = {**save(tmp_path / "z.npy", rows), "pairs": "3"}
    store, summary = analyze(tmp_path, options)
    i, j = np.triu_indices(5, k=1)
    strength = np.abs(np.corrcoef(rows.astype(np.float64).T)[i, j])
    wanted = {(i[k], j[k]) for k in np.argsort(-strength)[:3]}
    measured = zip(store["pairs"]["i"][:], store["pairs"]["j"][:], strict=True)
    assert set(measured) == wanted
    assert summary["pairs"]["n_left_out"] == 7


def test_the_incremental_solver_finds_the_same_axes(tmp_path):
    rows = rows_of(n=3500, d=6)
    options = {**save(tmp_path / "z.npy", rows), "pca": "incremental"}
    store, summary = analyze(tmp_path, options)
    exact = np.linalg.eigvalsh(np.cov(rows.astype(np.float64).T))[::-1]
    np.testing.assert_allclose(store["eigenvalues"], exact, rtol=0.02)
    assert summary["solver"] == "incremental"
    assert 0 < summary["solver_eigenvalue_difference"] < 0.02
    axes = store["components"][:]
    np.testing.assert_allclose(axes @ axes.T, np.eye(6), atol=1e-9)


@pytest.mark.slow
def test_all_figures_of_the_study_are_drawn(tmp_path):
    options = save(tmp_path / "z.npy", rows_of(n=300, d=3))
    analyze(tmp_path, options, figures=True)
    names = {file.name for file in (tmp_path / "analysis" / "figures").iterdir()}
    assert {
        "components-raw.png",
        "components-pca.png",
        "explained-variance.png",
        "cumulative-importance.png",
        "correlation.png",
        "overlap.png",
        "radius.png",
        "survivors.png",
        "pairs-leading.png",
        "pairs-strongest.png",
        "pairs-best.png",
        "pairs-worst.png",
        "scatter-raw.png",
        "scatter-pca.png",
        "ten-best.png",
        "ten-worst.png",
    } == names


@pytest.mark.slow
@pytest.mark.parametrize(("vector", "head"), [("svg", b"<?xml"), ("pdf", b"%PDF-")])
def test_figures_for_print_lie_beside_each_png_and_are_the_same_every_time(
    tmp_path, vector, head
):
    options = save(tmp_path / "z.npy", rows_of(n=60, d=2)) | {"vector": vector}
    found = []
    for name in ("one", "two"):
        analyze(tmp_path / name, options, figures=True)
        folder = tmp_path / name / "analysis" / "figures"
        drawn = {path.stem for path in folder.glob("*.png")}
        vectors = {path.stem: path.read_bytes() for path in folder.glob(f"*.{vector}")}
        assert vectors.keys() == drawn
        assert len(vectors) > 10
        found.append(vectors)
    assert all(data.startswith(head) for data in found[0].values())
    assert found[0] == found[1]
    # Nothing in it says when, or is loaded from elsewhere.
    assert b"CreationDate" not in b"".join(found[0].values())
    assert b"dc:date" not in b"".join(found[0].values())


# --- what it reads --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["z", None])
def test_latents_come_from_a_store_as_from_a_file(tmp_path, rows, name):
    wanted, _ = analyze(tmp_path / "file", save(tmp_path / "z.npy", rows))
    writer = RowWriter.open(
        tmp_path / "store.zarr", "z", row_shape=(5,), dtype="float32", chunk_rows=256
    )
    for start in range(0, 900, 256):
        writer.append(rows[start : start + 256])
    writer.flush()
    path = tmp_path / "store.zarr" / ("" if name else "z")
    store, _ = analyze(tmp_path / "store", {"latents": str(path)})
    np.testing.assert_array_equal(store["covariance"], wanted["covariance"])
    np.testing.assert_array_equal(
        store["pairs"]["contour_iou"], wanted["pairs"]["contour_iou"]
    )


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", ">f4"])
def test_any_real_numbers_are_read(tmp_path, rows, dtype):
    rows = rows.astype(dtype)
    store, _ = analyze(tmp_path, save(tmp_path / "z.npy", rows))
    np.testing.assert_allclose(
        store["mean"], rows.astype(float).mean(axis=0), rtol=1e-9
    )


def write_rows(store, name, rows, attributes=None):
    writer = RowWriter.open(
        store,
        name,
        row_shape=rows.shape[1:],
        dtype=rows.dtype,
        chunk_rows=256,
        attributes=attributes,
    )
    for start in range(0, len(rows), 256):
        writer.append(rows[start : start + 256])
    writer.flush()


def own_latents(workspace, rows):
    """Make a workspace of latents, and of images with known features."""
    rng = np.random.default_rng(5)
    features = rows @ rng.normal(size=(5, 3)) + rng.normal(size=(len(rows), 3)) * 9
    write_rows(workspace / "latents.zarr", "z", rows)
    names = ["smile", "hair", "age"]
    write_rows(workspace / "images.zarr", "features", features, {"names": names})
    return features


@pytest.mark.parametrize("cut", [None, "1.7"])
def test_known_features_are_recovered_as_by_least_squares(tmp_path, rows, cut):
    features = own_latents(tmp_path, rows)
    _, summary = analyze(tmp_path, {"trim_fwhm": cut})
    fits = summary["components_raw"]
    kept = np.ones(len(rows), dtype=bool)
    if cut:
        everything, whole = analyze(tmp_path / "all", save(tmp_path / "z.npy", rows))
        fits = whole["components_raw"]
        centre = everything["mean"][:] + fits["gaussian_mean"]
        kept = (np.abs(rows - centre) <= 1.7 * np.array(fits["fwhm"])).all(axis=1)
        assert 0 < kept.sum() == summary["n_rows_kept"] < 900
    x, y = rows[kept].astype(np.float64), features[kept]
    wanted = [LinearRegression().fit(x, t).score(x, t) for t in y.T]
    found = summary["features"]
    assert found["name"] == ["smile", "hair", "age"]
    np.testing.assert_allclose(found["r_squared"], wanted, rtol=1e-8)
    assert found["r_squared_by_chance"] == 5 / kept.sum()
    unseen = (np.arange(len(rows)) % 5 == 4)[kept]
    wanted = [
        LinearRegression().fit(x[~unseen], t[~unseen]).score(x[unseen], t[unseen])
        for t in y.T
    ]
    np.testing.assert_allclose(found["r_squared_held_out"], wanted, rtol=1e-8)
    np.testing.assert_allclose(found["skewness"], stats.skew(y), atol=1e-9)
    np.testing.assert_allclose(found["excess_kurtosis"], stats.kurtosis(y), atol=1e-9)


def test_features_of_other_images_are_not_compared_with(tmp_path, rows):
    own_latents(tmp_path, rows)
    assert analyze(tmp_path, save(tmp_path / "z.npy", rows))[1]["features"] is None
    own_latents(tmp_path / "fewer", rows)
    write_rows(tmp_path / "fewer" / "latents.zarr", "z", rows[:500])
    assert analyze(tmp_path / "fewer", {})[1]["features"] is None


def keys_of(value):
    """Return every key in a JSON value."""
    if isinstance(value, list):
        return {key for item in value for key in keys_of(item)}
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set()


def test_every_number_is_named_in_the_description_of_the_formats(tmp_path, rows):
    own_latents(tmp_path / "a", rows)
    analyze(tmp_path / "b", save(tmp_path / "z.npy", rows))
    options = {"core": "0.9", "against": str(tmp_path / "b")}
    store, summary = analyze(tmp_path / "a", options)
    text = (ROOT / "docs" / "formats" / "results.md").read_text()
    words = re.findall(r"`([^`]+)`", text)
    named = {part for word in words for part in (word, *word.split("."))}
    written = keys_of(summary) | set(store.array_keys()) | set(store["pairs"])
    assert written - named == set()


def test_the_table_of_pairs_is_that_of_the_store_in_full_precision(tmp_path, rows):
    rows[:, 2] = 1.5
    store, _ = analyze(tmp_path, save(tmp_path / "z.npy", rows))
    with (tmp_path / "analysis" / "pairs.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert len(table) == 10
    assert set(table[0]) == set(store["pairs"].array_keys())
    for name, array in store["pairs"].arrays():
        column = np.array([float(row[name] or "nan") for row in table])
        np.testing.assert_array_equal(column, array[:])
    assert sum(row["contour_iou"] == "" for row in table) == 4


# --- unusual data ---------------------------------------------------------------------


@pytest.mark.slow
def test_one_component_has_no_pairs_and_all_its_figures(tmp_path):
    options = save(tmp_path / "z.npy", rows_of(d=1))
    store, summary = analyze(tmp_path, options, figures=True)
    assert store["pairs"]["rho"].shape == (0,)
    assert summary["pairs"]["n_measured"] == 0
    assert store["components"][:] == [[1.0]]
    names = {file.stem for file in (tmp_path / "analysis" / "figures").iterdir()}
    assert "components-raw" in names
    assert not any(name.startswith(("pairs", "scatter", "ten")) for name in names)


@pytest.mark.slow
def test_constant_and_duplicate_components_are_undefined_not_wrong(tmp_path):
    rows = rows_of(d=4)
    rows[:, 1] = 4.5
    rows[:, 3] = rows[:, 2]
    store, summary = analyze(tmp_path, save(tmp_path / "z.npy", rows), figures=True)
    assert summary["constant_components"] == [1]
    assert summary["rank"] == 2
    assert np.isnan(store["correlation"][1]).all()
    pairs = {
        (i, j): k
        for k, (i, j) in enumerate(
            zip(store["pairs"]["i"][:], store["pairs"]["j"][:], strict=True)
        )
    }
    assert store["pairs"]["rho"][pairs[2, 3]] == pytest.approx(1)
    assert np.isnan(store["pairs"]["contour_iou"][pairs[2, 3]])
    assert np.isnan(store["pairs"]["rho"][pairs[0, 1]])
    assert np.isfinite(store["pairs"]["contour_iou"][pairs[0, 2]])
    assert summary["pairs"]["n_undefined"] == 4
    assert summary["radius"]["n_dimensions"] == 2


@pytest.mark.parametrize("pca", ["covariance", "incremental"])
def test_fewer_rows_than_components_leave_axes_without_variance(tmp_path, pca):
    rows = rows_of(n=6, d=9)
    options = {**save(tmp_path / "z.npy", rows), "pca": pca}
    store, summary = analyze(tmp_path, options)
    assert summary["rank"] == 5
    np.testing.assert_allclose(store["eigenvalues"][5:], 0, atol=1e-9)
    axes = store["components"][:]
    np.testing.assert_allclose(axes @ axes.T, np.eye(9), atol=1e-9)


def test_rows_that_are_all_equal_are_described(tmp_path):
    store, summary = analyze(tmp_path, save(tmp_path / "z.npy", np.full((9, 3), 2.5)))
    np.testing.assert_array_equal(store["mean"], 2.5)
    np.testing.assert_allclose(store["eigenvalues"], 0)
    assert summary["constant_components"] == [0, 1, 2]
    assert summary["radius"]["mardia_kurtosis"] == 0


@pytest.mark.process
@pytest.mark.slow
def test_without_figures_matplotlib_is_not_loaded(tmp_path, rows):
    options = save(tmp_path / "z.npy", rows)
    program = (
        "import sys\nfrom pathlib import Path\nfrom tests.analyzing import analyze\n"
        f"analyze(Path({str(tmp_path / 'w')!r}), {options!r}, figures=False)\n"
        "print('matplotlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False"

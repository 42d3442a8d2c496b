"""`analyze` recovers what is known of distributions, through the whole job."""

from __future__ import annotations

import json
from math import sqrt

import numpy as np
import pytest
import zarr
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from lowmem_jobs.analyze import job, pair_selection
from lowmem_jobs.analyze.job import JOB
from tests.driver import drive
from tests.known_laws import LAWS, errors_of, placed

N = 20_000
SIGMAS = {"coverage_2sigma": 2.0, "coverage_2_5sigma": 2.5, "coverage_3sigma": 3.0}


def analyze(workspace, rows, *, n_helpers=0, **options):
    table = workspace.with_suffix(".npy")
    np.save(table, rows)
    chosen = {"latents": str(table), "figures": False, **options}
    settings = {"pair_rows": 5000, "pair_helpers": n_helpers}
    assert drive(JOB, workspace, chosen, settings=settings, cycle_steps=50)
    summary = json.loads((workspace / "analysis" / "summary.json").read_bytes())
    return zarr.open_group(workspace / "analysis.zarr", mode="r"), summary


@pytest.fixture(scope="module")
def mixed():
    """Columns of all laws, a pair each, in their order."""
    rng = np.random.default_rng(20)
    return np.concatenate([placed(law, rng, N) for law in LAWS.values()], axis=1)


@pytest.fixture(scope="module")
def found(tmp_path_factory, mixed):
    store, _ = analyze(tmp_path_factory.mktemp("laws") / "w", mixed)
    columns = {name: array[:] for name, array in store["pairs"].arrays()}
    first, second = columns["i"], columns["j"]
    return {
        law: {
            name: column[(first == 2 * k) & (second == 2 * k + 1)].item()
            for name, column in columns.items()
        }
        for k, law in enumerate(LAWS)
    }


@pytest.mark.parametrize("law", LAWS)
def test_coverage_is_the_mass_of_the_law_within_three_standard_errors(found, law):
    for name, k in SIGMAS.items():
        mass = LAWS[law].within(k)
        error = sqrt(mass * (1 - mass) / N)
        assert abs(found[law][name] - mass) < 3 * error, name


@pytest.mark.parametrize("law", LAWS)
def test_mardias_measures_are_those_of_the_law_within_three_standard_errors(found, law):
    b1, b2 = errors_of(LAWS[law], N)
    assert abs(found[law]["mardia_kurtosis"] - LAWS[law].b2) < 3 * b2
    # Of a law without skewness the measure is a square, and lies above its 0.
    assert abs(found[law]["mardia_skewness"] - LAWS[law].b1) < 3 * b1 + 10 * 6 / N


def test_a_normal_pair_is_the_most_elliptic_and_a_curved_one_the_least(found):
    overlap = {law: row["contour_iou"] for law, row in found.items()}
    away = {law: row["total_variation"] for law, row in found.items()}
    assert max(overlap, key=overlap.get) == min(away, key=away.get) == "normal"
    assert min(overlap, key=overlap.get) == max(away, key=away.get) == "curved"
    assert overlap["normal"] > 0.94
    assert overlap["curved"] < 0.6


def test_a_normal_distribution_is_found_to_be_one_in_every_measure(tmp_path):
    d, n = 8, 10_000
    rng = np.random.default_rng(21)
    rows = rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + 3
    store, summary = analyze(tmp_path / "w", rows)
    radius = summary["radius"]
    away = radius["mardia_kurtosis"] - d * (d + 2)
    assert abs(away) < 3 * sqrt(8 * d * (d + 2) / n)
    assert radius["kolmogorov"] < 1.63 / sqrt(n)  # 1 % of samples are above
    np.testing.assert_allclose(
        radius["quantiles"][1:-1], radius["quantiles_gaussian"][1:-1], rtol=0.03
    )
    assert summary["projections"]["kolmogorov"]["median"] < 1.1 / sqrt(n)
    for name, k in SIGMAS.items():
        mass = 1 - np.exp(-(k**2) / 2)
        errors = (store["pairs"][name][:] - mass) / sqrt(mass * (1 - mass) / n)
        assert np.abs(errors).max() < 3.5  # the largest of 28
    assert summary["largest_correlation_pca"] < 2e-7


def test_two_components_are_one_pair_with_everything_about_it(tmp_path):
    rows = placed(LAWS["student"], np.random.default_rng(22), N)
    store, summary = analyze(tmp_path / "w", rows, trim_fwhm="1.8", frame="pca")
    assert summary["pairs"]["n_measured"] == 1
    assert summary["radius"]["n_dimensions"] == 2
    assert store["pairs"]["rho"][0] == pytest.approx(0, abs=1e-9)
    assert summary["n_rows_kept"] < N
    before = summary["radius_of_all_rows"]["mardia_kurtosis"]
    assert before == pytest.approx(LAWS["student"].b2, rel=0.05)


@pytest.mark.process
def test_neither_tiles_nor_helpers_change_a_bit(tmp_path, mixed, monkeypatch):
    wanted, _ = analyze(tmp_path / "w", mixed[:3000])
    monkeypatch.setattr(pair_selection, "PAIRS_PER_TILE", 7)
    monkeypatch.setattr(pair_selection, "_SIDE", 3)
    monkeypatch.setattr(job, "_POINTS_WORTH_HELPERS", 0)
    other, _ = analyze(tmp_path / "other", mixed[:3000], n_helpers=2)
    for name, array in wanted["pairs"].arrays():
        np.testing.assert_array_equal(other["pairs"][name], array, err_msg=name)


@pytest.mark.parametrize(
    ("n_rows", "n_pairs", "n_helpers"),
    [(170_000, 32_640, 2), (5_000, 32_640, 2), (2_000_000, 1_000, 2), (5_000, 120, 0)],
)
def test_helpers_start_where_there_is_much_to_count(n_rows, n_pairs, n_helpers):
    rung = {"pair_helpers": 2}
    found = job.n_pair_helpers(rung, n_rows=n_rows, n_pairs=n_pairs)
    assert found == n_helpers


# --- axes of the correlation ----------------------------------------------------------


@pytest.mark.parametrize("pca", ["covariance", "incremental"])
def test_standardised_axes_are_those_of_scikit_learns_scaled_rows(tmp_path, mixed, pca):
    rows = mixed[:4000] * np.geomspace(1e-3, 1e3, mixed.shape[1])
    rows[:, 5] = 7.5
    options = {"standardise": True, "frame": "pca", "pca": pca, "pairs": "5"}
    store, summary = analyze(tmp_path / "w", rows, **options)
    scaled = StandardScaler().fit_transform(rows)
    reference = PCA(svd_solver="full").fit(scaled)
    wanted = reference.explained_variance_ * (1 - 1 / len(rows))
    values, axes = store["standardised_eigenvalues"], store["standardised_components"]
    np.testing.assert_allclose(values, wanted, rtol=1e-6, atol=1e-9)
    turned = np.abs(axes[:] @ reference.components_.T)
    np.testing.assert_allclose(turned[:11, :11], np.eye(11), atol=1e-5)
    assert summary["standardise"]
    assert summary["solver"] == pca
    assert summary["largest_correlation_pca"] < 2e-7
    kurtosis = stats.kurtosis(reference.transform(scaled)[:, :11])
    found = summary["components_pca"]["excess_kurtosis"]
    np.testing.assert_allclose(found[:11], kurtosis, atol=1e-5)
    effective = wanted.sum() ** 2 / np.square(wanted).sum()
    assert summary["correlation_axes"]["effective_dimension"] == pytest.approx(
        effective
    )
    # What other jobs read stays the covariance's.
    covariance = np.cov(rows.T)
    np.testing.assert_allclose(
        store["eigenvalues"][0], np.linalg.eigvalsh(covariance)[-1], rtol=1e-9
    )


def test_standardised_axes_do_not_depend_on_the_units_of_the_components(
    tmp_path, mixed
):
    options = {"standardise": True, "pairs": "1"}
    _, wanted = analyze(tmp_path / "w", mixed[:2000], **options)
    units = mixed[:2000] * 2.0 ** np.arange(-6, 6)
    _, found = analyze(tmp_path / "units", units, **options)
    for name in ("kolmogorov", "skewness", "excess_kurtosis"):
        np.testing.assert_allclose(
            found["components_pca"][name], wanted["components_pca"][name], atol=1e-9
        )

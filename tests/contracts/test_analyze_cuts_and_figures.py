"""What `analyze` says of all rows and of every cut, and which figures it draws."""

from __future__ import annotations

import numpy as np
import pytest

from lowmem.base.errors import OptionValueError
from lowmem_jobs.analyze import axis_rotation, figure_selection, results, retained_rows
from lowmem_jobs.analyze.job import JOB
from lowmem_jobs.stats.moments import Moments
from lowmem_jobs.stats.trimming import Cut
from tests.analyzing import plan, study


@pytest.fixture(scope="module")
def heavy():
    rng = np.random.default_rng(1)
    rows = rng.standard_t(4, size=(4000, 6)) * [5, 4, 2.05, 2, 1, 0.5]
    return rows @ np.linalg.qr(rng.normal(size=(6, 6)))[0]


@pytest.fixture(scope="module")
def everything(tmp_path_factory, heavy):
    return study(tmp_path_factory.mktemp("all") / "w", heavy)[0]


def survivors(rows, summary, factor):
    """Return the rows that a cut keeps, from the fits that the summary tells."""
    fits = summary["components_raw"]
    centre = rows.mean(axis=0) + fits["gaussian_mean"]
    return rows[(np.abs(rows - centre) <= factor * np.array(fits["fwhm"])).all(axis=1)]


def axes_of(rows):
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    return values[::-1], vectors.T[::-1]


# --- before and after the cut ---------------------------------------------------------


def test_the_axes_2_and_3_of_every_cut_are_those_of_its_survivors(heavy, everything):
    summary = everything
    series = summary["turning"]
    counted = {
        row["factor"]: row["survivors"] for row in summary["trimming"]["survivors"]
    }
    assert [row["factor"] for row in series] == [*counted, None]
    _, first = axes_of(heavy)
    for row in series:
        rows = heavy
        if row["factor"] is not None:
            rows = survivors(heavy, summary, row["factor"])
            assert row["survivors"] == len(rows) == counted[row["factor"]]
        values, axes = axes_of(rows)
        np.testing.assert_allclose(row["variances"], values[2:4], rtol=1e-3)
        cosines = axes[2:4] @ first[2:4].T
        cosine = abs(cosines[0, 0]) / np.hypot(*cosines[0])
        assert np.cos(np.radians(row["turn"])) == pytest.approx(cosine, abs=1e-6)
        tilt = np.degrees(np.arccos(np.linalg.svd(cosines)[1].min().clip(max=1)))
        assert row["tilt"] == pytest.approx(tilt, abs=1e-4)
        assert 0.5 < row["contour_iou"] < 1
    assert series[-1]["turn"] == pytest.approx(0, abs=1e-9)
    assert max(abs(row["turn"]) for row in series) > 1


def test_each_plane_holds_the_survivors_of_its_cut_and_no_others(heavy):
    cut = Cut(centre=np.median(heavy, axis=0), fwhm=np.full(6, 4.0), factor=None)
    distance = cut.distance(heavy)
    kept = {factor: heavy[distance <= factor] for factor in (1.0, 2.0)}
    cuts = [(factor, Moments.of(rows)) for factor, rows in kept.items()]
    planes = axis_rotation.planes_of(cuts, Moments.of(heavy))
    sweep = axis_rotation.TurningSweep(cut, planes)
    for start in range(0, len(heavy), 1300):
        sweep.add(start, heavy[start : start + 1300])
    counts = axis_rotation.counts_from(sweep.arrays())
    for found, rows in zip(counts, [*kept.values(), heavy], strict=True):
        _, axes = axes_of(rows)
        along = (rows - rows.mean(axis=0)) @ axes[2:4].T
        r2 = np.square(along / along.std(axis=0)).sum(axis=1)
        assert found.n_samples == len(rows)
        np.testing.assert_allclose(
            found.within, [(r2 <= k * k).sum() for k in (2, 2.5, 3)], atol=1
        )


def test_all_rows_are_described_beside_those_that_were_kept(
    tmp_path, heavy, everything
):
    assert everything["before_trimming"] is None
    cut, _ = study(tmp_path / "cut", heavy, trim_fwhm="1.5")
    before = cut["before_trimming"]
    for name, value in before.items():
        assert value == everything[name], name
    worst = np.abs(before["components_raw"]["excess_kurtosis"]).max()
    assert np.abs(cut["components_raw"]["excess_kurtosis"]).max() < 0.2 * worst
    rows = survivors(heavy, everything, 1.5)
    assert cut["n_rows_kept"] == len(rows)
    values, _ = axes_of(rows)
    wanted = values.sum() ** 2 / np.square(values).sum()
    assert cut["effective_dimension"] == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("d", [1, 2, 3])
def test_fewer_than_four_components_have_no_such_axes(tmp_path, d):
    rows = np.random.default_rng(2).normal(size=(50, d))
    assert study(tmp_path / "w", rows)[0]["turning"] is None


def test_what_many_components_leave_out_is_noted(tmp_path, heavy, monkeypatch):
    for module in (retained_rows, results):
        monkeypatch.setattr(module, "MOST_TURNING", 5)
    monkeypatch.setattr("lowmem_jobs.analyze.job.MAX_FEATURES_FOR_ALL", 5)
    monkeypatch.setattr("lowmem_jobs.analyze.job.DEFAULT_PAIRS", 4)
    few, said = study(tmp_path / "few", heavy, trim_fwhm="1.5")
    assert few["turning"] is None
    assert few["pairs"]["n_measured"] == 4
    assert len(said.notes) == 2
    assert said.notes[0].startswith("measured the 4 pairs with the strongest")
    assert "axes 2 and 3" in said.notes[1]


def test_a_core_that_does_not_settle_is_said_to_be_rough(tmp_path, monkeypatch):
    monkeypatch.setattr("lowmem_jobs.analyze.core._SETTLED", 0.0)
    rows = np.random.default_rng(4).normal(size=(300, 3))
    summary, said = study(tmp_path / "core", rows, core=0.9)
    assert summary["core"]["n_iterations"] == 12
    assert any("still moved in the last of 12 passes" in note for note in said.notes)


# --- figures --------------------------------------------------------------------------


@pytest.mark.slow
def test_every_component_has_its_place_on_a_page(tmp_path, monkeypatch):
    monkeypatch.setattr(figure_selection, "N_PER_PAGE", 4)
    monkeypatch.setattr(figure_selection, "MOST_PAGED", 10)
    monkeypatch.setattr(results, "MOST_PAGED", 10)
    rows = np.random.default_rng(3).normal(size=(200, 11))
    rows[:, 2] = 1.0
    chosen = {"show_pairs": "7-9, 2-5", "figures": True, "pairs": "3"}
    _, said = study(tmp_path / "w", rows, **chosen)
    figures = tmp_path / "w" / "analysis" / "figures"
    pages = sorted(file.stem for file in (figures / "components").iterdir())
    assert pages == [
        f"{frame}-{span}"
        for frame in ("pca", "raw")
        for span in ("0000-0003", "0004-0007", "0008-0009")
    ]
    names = {file.name for file in figures.glob("*.png")}
    assert {"components-raw-all.png", "components-pca-all.png"} < names
    assert {"pair-2-3.png", "pairs-chosen.png"} < names
    assert said.notes == ["drew the densities of the first 10 of 11 components"]


@pytest.mark.parametrize(
    "text", ["", "2", "2-", "2-2", "a-b", "1-2,", "1-2-3", "0-1," * 8 + "0-1", "-1-2"]
)
def test_nonsense_pairs_to_draw_are_a_wrong_usage(tmp_path, text):
    with pytest.raises(OptionValueError, match="--show-pairs"):
        JOB.check(plan(tmp_path, {"show_pairs": text}))


def test_pairs_of_components_that_are_not_there_are_refused(tmp_path, heavy):
    np.save(tmp_path / "z.npy", heavy)
    latents = str(tmp_path / "z.npy")
    JOB.check(plan(tmp_path, {"latents": latents, "show_pairs": "4-5"}))
    with pytest.raises(OptionValueError, match="from 0 to 5"):
        JOB.check(plan(tmp_path, {"latents": latents, "show_pairs": "4-6"}))
    # Latents that are yet to be made are looked at by the worker.
    JOB.check(plan(tmp_path, {"show_pairs": "4-6"}))
    with pytest.raises(OptionValueError, match="from 0 to 5"):
        study(tmp_path / "w", heavy, show_pairs="4-6")

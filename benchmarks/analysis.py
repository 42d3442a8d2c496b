"""The latent-space study in figures: time, memory and accuracy.

    python benchmarks/analysis.py                    all parts, a table each
    python benchmarks/analysis.py whole density      some of them
    python benchmarks/analysis.py whole --rows 5000  a short form: fewer rows than 170,000

`whole`: the complete analysis of 170,000 x 256 numbers, all pairs, without figures.
`density`: one pair's density by SciPy, KDEpy (if installed) and lowmem, same grid.
`covariance`, `axes`: against float64 in memory, `numpy.linalg.svd` and IncrementalPCA.
`known`: pairs of known laws recovered: what was found less what is true, in standard errors.
`memory`: the peak for ten times the rows, 200,000 and 2,000,000 of 256 columns (2 GB of
disk; `--peak-rows 200000 --columns 32` is a short form: both of several blocks).
`peaks`: the predicted peak beside the measured, at several sizes.

Set OPENBLAS_NUM_THREADS to say how many cores the comparisons may use.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from analysis_runs import N_COLUMNS, ROOT, analyze, rows_of

if TYPE_CHECKING:
    from lowmem_jobs.stats.density import Smoother
    from lowmem_jobs.stats.principal import PrincipalAxes

MIB = 2**20
N_ROWS = 170_000
SIZES = ((2_000, 16), (20_000, 64), (100_000, 256), (300_000, 128), (60_000, 512))


def show(name: str, value: str, promise: str = "") -> None:
    """Print one row."""
    print(f"  {name:<52}{value:>16}   {promise}", flush=True)


def whole(folder: Path, n_rows: int = N_ROWS) -> None:
    """Time the complete analysis."""
    found = analyze(folder, n_rows)
    show(
        f"complete analysis of {n_rows:,} x {N_COLUMNS}",
        f"{found['seconds']:.1f} s",
        "120 s",
    )
    for name, seconds in found["stages"].items():
        show(f"  {name}", f"{seconds:.1f} s", "60 s" if name == "pairs" else "")
    show("peak, anonymous", f"{found['anonymous'] / MIB:.0f} MiB", "953 MiB (1 GB)")
    show("peak predicted", f"{found['predicted'] / MIB:.0f} MiB")
    show(
        "peak with the pages of files, each once",
        f"{found['resident'] / MIB:.0f} MiB",
        "953 MiB (1 GB)",
    )


def density(_: Path) -> None:
    """Compare one pair's density on one grid."""
    from scipy.stats import gaussian_kde

    from lowmem_jobs.stats.density import Smoother
    from lowmem_jobs.stats.plane import PlaneCounts, unwhitened, whitened

    rows = rows_of(N_ROWS, 16)[:, [2, 5]].astype(np.float64)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    rho = float((rows[:, 0] * rows[:, 1]).mean())
    x, y = rows.T.astype(np.float32)
    smoother = Smoother(n_samples=N_ROWS)
    n_repeats = 20
    start = time.perf_counter()
    for _repeat in range(n_repeats):
        counts = PlaneCounts.of(x, y, rho, block_rows=2**16)
        found = smoother.density(counts)
    seconds = (time.perf_counter() - start) / n_repeats
    u, v = np.meshgrid(smoother.centres, smoother.centres, indexing="ij")
    grid = np.stack(unwhitened(u.ravel(), v.ravel(), rho))
    start = time.perf_counter()
    wanted = gaussian_kde(rows.T)(grid).reshape(u.shape) * np.sqrt(1 - rho**2)
    slow = time.perf_counter() - start
    show("lowmem, 128 x 128 cells, 170,000 points", f"{1000 * seconds:.2f} ms")
    show("scipy.stats.gaussian_kde", f"{slow:.1f} s", f"{slow / seconds:,.0f} times")
    difference = np.abs(found - wanted).max() / wanted.max()
    show("largest difference, of the peak", f"{difference:.1e}", "2e-3")
    white = np.stack(whitened(*rows.T, rho), axis=1)
    density_by_kdepy(white, smoother, wanted, seconds)


def density_by_kdepy(
    white: np.ndarray, smoother: Smoother, wanted: np.ndarray, seconds: float
) -> None:
    """Show what FFTKDE does with the whitened points: it has no full covariance."""
    try:
        from KDEpy import FFTKDE
    except ImportError:
        show("KDEpy.FFTKDE", "not installed")
        return
    edge, width = 8.0, smoother.centres[1] - smoother.centres[0]
    beyond = round((edge - 5) / width)
    axis = smoother.centres[0] + width * np.arange(-beyond, 128 + beyond)
    white = white[np.abs(white).max(axis=1) < edge - 1]
    points = np.stack([a.ravel() for a in np.meshgrid(axis, axis, indexing="ij")], 1)
    start = time.perf_counter()
    kde = FFTKDE(kernel="gaussian", bw=smoother.bandwidth).fit(white)
    found = kde.evaluate(points).reshape(axis.size, axis.size)
    slow = time.perf_counter() - start
    found = found[beyond:-beyond, beyond:-beyond] * len(white) / N_ROWS
    difference = np.abs(found - wanted).max() / wanted.max()
    show("KDEpy.FFTKDE", f"{1000 * slow:.0f} ms", f"{slow / seconds:.0f} times")
    show("  its largest difference, of the peak", f"{difference:.1e}")


def streamed(rows: np.ndarray) -> np.ndarray:
    """Return lowmem's covariance of ``rows``."""
    from lowmem_jobs.stats.moments import Moments

    moments = Moments.empty(rows.shape[1])
    for start in range(0, len(rows), 4096):
        moments = moments.merge(
            Moments.of(rows[start : start + 4096].astype(np.float64))
        )
    return moments.covariance


def covariance(_: Path) -> None:
    """Compare the covariance of a bad case with float64 in memory."""
    d = 256
    rng = np.random.default_rng(3)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    rows = (rng.normal(size=(40_000, d)) * np.logspace(0, -5, d)) @ turn
    rows += 1e3 * rows.std(axis=0)
    exact = rows - rows.mean(axis=0)
    exact -= exact.mean(axis=0)
    wanted = exact.T @ exact / (len(rows) - 1)
    found = streamed(rows)
    error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    values = np.linalg.eigvalsh(wanted)
    show("condition number, means of 1e3 sigma", f"{values[-1] / values[0]:.1e}")
    show("covariance, relative Frobenius error", f"{error:.1e}", "1e-7")


def axes(_: Path) -> None:
    """Compare the axes with numpy.linalg.svd, and the time with IncrementalPCA."""
    from scipy.linalg import subspace_angles
    from sklearn.decomposition import IncrementalPCA

    from lowmem_jobs.stats.principal import principal_axes

    rows = rows_of(40_000, N_COLUMNS)
    centred = rows.astype(np.float64) - rows.mean(axis=0, dtype=np.float64)
    _, values, vectors = np.linalg.svd(centred, full_matrices=False)
    found = principal_axes(streamed(rows))
    wanted = values**2 / (len(rows) - 1)
    error = np.abs(found.eigenvalues / wanted - 1).max()
    show("eigenvalues against svd, relative", f"{error:.1e}", "1e-6")
    angles = [
        subspace_angles(found.components[:k].T, vectors[:k].T).max()
        for k in (1, 10, 100, 255)
    ]
    show("largest principal angle (1, 10, 100, 255 axes)", f"{max(angles):.1e}", "1e-5")
    turned = centred @ found.components.T
    rho = np.corrcoef(turned.T)
    np.fill_diagonal(rho, 0)
    show("largest correlation after PCA", f"{np.abs(rho).max():.1e}", "2e-7")
    by_batches = incremental(rows).eigenvalues
    error = np.abs(by_batches - wanted).max() / wanted[0]
    show("--pca incremental, eigenvalues, of the largest", f"{error:.1e}", "1e-6")
    rows = rows_of(N_ROWS, N_COLUMNS)
    start = time.perf_counter()
    principal_axes(streamed(rows))
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    IncrementalPCA(batch_size=5 * N_COLUMNS).fit(rows)
    slow = time.perf_counter() - start
    show("axes of 170,000 x 256, all moments included", f"{seconds:.2f} s")
    show("IncrementalPCA", f"{slow:.1f} s", f"{slow / seconds:.1f} times (10)")


def incremental(rows: np.ndarray) -> PrincipalAxes:
    """Return the axes that the job finds with ``--pca incremental``."""
    from lowmem_jobs.analyze.incremental import IncrementalSweep, incremental_axes

    sweep = IncrementalSweep(
        n_rows=len(rows), n_features=rows.shape[1], keep=lambda block: block
    )
    for start in range(0, len(rows), 4096):
        sweep.add(start, rows[start : start + 4096].astype(np.float64))
    return incremental_axes(sweep.arrays())


def known(_: Path) -> None:
    """Compare pairs of known laws with what is true of them."""
    sys.path.insert(0, str(ROOT))
    from lowmem_jobs.stats.ellipses import mass_within
    from lowmem_jobs.stats.pairs import PairSums, pair_measures
    from lowmem_jobs.stats.plane import COVERAGE_SIGMAS, PlaneCounts
    from tests.known_laws import LAWS, errors_of, placed

    for name, law in LAWS.items():
        rows = placed(law, np.random.default_rng(4), N_ROWS)
        rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
        sums = PairSums.empty(2).updated(rows)
        measures = pair_measures(sums, np.array([0]), np.array([1]))
        x, y = np.ascontiguousarray(rows.T, np.float32)
        counts = PlaneCounts.of(x, y, float(measures.rho[0]), block_rows=2**16)
        for k, found in zip(COVERAGE_SIGMAS, counts.coverage, strict=True):
            mass = law.within(k)
            errors = (found - mass) / np.sqrt(mass * (1 - mass) / N_ROWS)
            label = (
                f"{name}: within {k:g} sigma {mass:.4f} (normal {mass_within(k):.4f})"
            )
            show(label, f"{errors:+.2f}", "3 standard errors")
        b1, b2 = errors_of(law, N_ROWS)
        errors = (measures.kurtosis[0] - law.b2) / b2
        show(f"{name}: Mardia's kurtosis {law.b2:.3f}", f"{errors:+.2f}", "3")
        if law.b1:
            errors = (measures.skewness[0] - law.b1) / b1
            show(f"{name}: Mardia's skewness {law.b1:.3f}", f"{errors:+.2f}", "3")
        else:
            chi2 = N_ROWS * measures.skewness[0] / 6
            show(f"{name}: n b1 / 6, about 4 of a normal", f"{chi2:.1f}")


def memory(folder: Path, n_rows: int = 200_000, n_columns: int = N_COLUMNS) -> None:
    """Compare the peaks for some rows and for ten times as many.

    The highest lasts milliseconds, and is seen by chance: the shorter analysis is made
    three times, the longer, which has ten times as many blocks to be seen, once.
    """
    found = {}
    for n, n_times in ((n_rows, 3), (10 * n_rows, 1)):
        runs = [analyze(folder, n, n_columns, pairs="100") for _ in range(n_times)]
        found[n] = max(one["anonymous"] for one in runs)
        show(
            f"peak for {n:,} x {n_columns} (100 pairs), {runs[0]['seconds']:.0f} s",
            " ".join(f"{one['anonymous'] / MIB:.1f}" for one in runs) + " MiB",
        )
    show("ratio of the largest", f"{found[10 * n_rows] / found[n_rows]:.3f}", "1.05")


def peaks(folder: Path) -> None:
    """Compare the predicted peak with the measured."""
    for n_rows, n_columns in SIZES:
        found = analyze(folder, n_rows, n_columns, pairs="100")
        predicted, measured = found["predicted"], found["anonymous"]
        show(
            f"peak for {n_rows:,} x {n_columns}, predicted {predicted / MIB:.0f} MiB",
            f"{measured / MIB:.0f} MiB",
            f"ratio {predicted / measured:.3f} (1 to 1.1)",
        )


PARTS = {
    part.__name__: part
    for part in (density, covariance, axes, known, whole, memory, peaks)
}


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    parser.add_argument("--rows", type=int, default=N_ROWS, help="of `whole`")
    parser.add_argument("--peak-rows", type=int, default=200_000, help="of `memory`")
    parser.add_argument("--columns", type=int, default=N_COLUMNS, help="of `memory`")
    options = parser.parse_args()
    chosen = options.parts or list(PARTS)
    parts = {
        **PARTS,
        "whole": partial(whole, n_rows=options.rows),
        "memory": partial(memory, n_rows=options.peak_rows, n_columns=options.columns),
    }
    with tempfile.TemporaryDirectory(prefix="lowmem-") as folder:
        for name in chosen:
            print(name)
            parts[name](Path(folder))


if __name__ == "__main__":
    main()

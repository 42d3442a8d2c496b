"""Do Gaussian features make Gaussian latents? The question that the study left open.

    python benchmarks/gaussian_features.py             about ten minutes on two cores
    python benchmarks/gaussian_features.py --seeds 3   the same with three seeds

The same faces are drawn from features of equal means, deviations and (rank) correlations
but different laws: normal, uniform, and of two lumps. An autoencoder is trained on each,
once more with batch normalisation on the first, and the jobs encode and analyze.
Beside each: the latents of the same network before training, and normal numbers of the
same shape, which show what is left of every measure by chance. `R2` is the median over the
24 features of what a linear map from z recovers of images that it was not fitted to.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.special import ndtr

ROOT = Path(__file__).parents[1]
LUMP = 0.9  # distance of each lump from the middle, in deviations
MEASURES = {
    "radius_kolmogorov": "radius D",
    "radius_mardia_ratio": "b2/d(d+2)",
    "projections_kolmogorov": "projections D",
    "components_raw_kolmogorov": "z D",
    "components_pca_kolmogorov": "PC D",
    "pairs_contour_iou": "pairs IoU",
    "pairs_total_variation": "pairs TV",
    "effective_dimension": "eff. dim",
}


def lumps(normal: np.ndarray) -> np.ndarray:
    """Return the numbers of two lumps, of mean 0 and variance 1, with the same ranks."""
    width = np.sqrt(1 - LUMP**2)
    x = np.linspace(-LUMP - 8 * width, LUMP + 8 * width, 20_001)
    share = 0.5 * (ndtr((x - LUMP) / width) + ndtr((x + LUMP) / width))
    return np.interp(ndtr(normal), share, x)


LAWS = {
    "normal": lambda normal: normal,
    "uniform": lambda normal: np.sqrt(12) * (ndtr(normal) - 0.5),
    "lumps": lumps,
}


def features_of(law: str, n: int, seed: int) -> np.ndarray:
    """Return features of ``n`` faces under a law, shape (n, 24)."""
    from lowmem_jobs.ingest.faces import FEATURES, face_features

    features = np.array([face_features(seed, index) for index in range(n)])
    mean = np.array([feature.mean for feature in FEATURES])
    deviation = np.array([feature.deviation for feature in FEATURES])
    return mean + deviation * LAWS[law]((features - mean) / deviation)


def paint(features: np.ndarray, size: int) -> np.ndarray:
    """Return the faces of these features, shape (n, size, size, 3) uint8."""
    from lowmem_jobs.ingest.drawing import Painter
    from lowmem_jobs.ingest.faces import FEATURES

    painter = Painter(size)
    names = [feature.name for feature in FEATURES]
    return np.stack(
        [painter.paint(dict(zip(names, map(float, row), strict=True))) for row in features]
    )  # fmt: skip


def lowmem(job: str, workspace: Path, *more: str) -> None:
    """Run one job as a person would."""
    command = [sys.executable, "-m", "lowmem", "run", job, "--quiet", *more]
    command += ["--workspace", str(workspace), "--device", "cpu"]
    subprocess.run(command, check=True, cwd=ROOT)


def untrained(workspace: Path, seed: int) -> np.ndarray:
    """Return z of the images by the same encoder with new weights."""
    import keras
    import zarr

    keras.utils.set_random_seed(seed)
    trained = keras.models.load_model(workspace / "model" / "encoder.keras")
    encoder = keras.models.clone_model(trained)
    images = zarr.open_group(workspace / "images.zarr", mode="r")["images"]
    parts = [
        np.asarray(encoder({"image": images[start : start + 512]}, training=False))
        for start in range(0, images.shape[0], 512)
    ]
    return np.concatenate(parts)


def latents_of(workspace: Path) -> np.ndarray:
    """Return z as job `encode` wrote it."""
    import zarr

    return zarr.open_group(workspace / "latents.zarr", mode="r")["z"][:]


def recovered(z: np.ndarray, features: np.ndarray) -> float:
    """Return the median R2 of the features of every fifth image, fitted to the others."""
    from sklearn.linear_model import LinearRegression
    from sklearn.metrics import r2_score

    held_out = np.arange(len(z)) % 5 == 4
    fit = LinearRegression().fit(z[~held_out], features[~held_out])
    found = fit.predict(z[held_out])
    return float(
        np.median(r2_score(features[held_out], found, multioutput="raw_values"))
    )


def measured(workspace: Path, z: np.ndarray | None = None) -> dict[str, float]:
    """Analyze the latents of a workspace, or others, and return the measures."""
    from lowmem_jobs.analyze.comparison import measures_of
    from lowmem_jobs.analyze.digest import digest_of

    more = ["--no-figures"]
    if z is not None:
        workspace.mkdir(exist_ok=True)
        np.save(workspace / "z.npy", z)
        more += ["--latents", str(workspace / "z.npy")]
    lowmem("analyze", workspace, *more)
    document = (workspace / "analysis" / "summary.json").read_bytes()
    found = measures_of(digest_of(document))
    return {name: found[name] for name in MEASURES}


def trained(
    workspace: Path, options: argparse.Namespace, seed: int, *more: str
) -> None:
    """Train and encode."""
    chosen = ["--epochs", str(options.epochs), "--latent-dim", str(options.latent_dim)]
    chosen += ["--filters", options.filters, "--seed", str(seed), "--batch-size", "64"]
    lowmem("train", workspace, *chosen, *more)
    lowmem("encode", workspace, *(more if "--data" in more else ()))


def study(folder: Path, options: argparse.Namespace, seed: int) -> list[dict]:
    """Return the rows of the table of one seed."""
    rows = []
    for law in LAWS:
        features = features_of(law, options.images, seed)
        workspace = folder / f"{law}-{seed}"
        workspace.mkdir()
        np.save(workspace / "faces.npy", paint(features, options.size))
        source = str(workspace / "faces.npy")
        lowmem("ingest", workspace, "--source", source, "--size", str(options.size))
        trained(workspace, options, seed)
        rows.append(row_of(f"{law} features", workspace, features))
        z = untrained(workspace, seed)
        rows.append(
            row_of(f"{law}, untrained", folder / f"u-{law}-{seed}", features, z)
        )
        if law == "normal":
            arm = folder / f"batch-norm-{seed}"
            lowmem("ingest", arm, "--source", source, "--size", str(options.size))
            trained(arm, options, seed, "--batch-norm")
            rows.append(row_of("normal, batch norm", arm, features))
    z = np.random.default_rng(seed).normal(size=z.shape)
    rows.append(row_of("normal numbers", folder / f"chance-{seed}", features, z))
    return rows


def row_of(
    name: str, workspace: Path, features: np.ndarray, z: np.ndarray | None = None
) -> dict:
    """Measure one set of latents and print its row."""
    found = measured(workspace, z)
    r2 = recovered(latents_of(workspace) if z is None else z, features)
    row = {"latents of": name, **found, "R2": r2}
    print(
        f"{name:<22}", *(f"{row[key]:>14.3f}" for key in (*MEASURES, "R2")), flush=True
    )
    return row


def print_ranges(rows: list[dict]) -> None:
    """Print the smallest and the largest of each measure over the seeds."""
    print("\nsmallest to largest of all seeds")
    for name in dict.fromkeys(row["latents of"] for row in rows):
        seeds = [row for row in rows if row["latents of"] == name]
        values = [[row[key] for row in seeds] for key in (*MEASURES, "R2")]
        cells = (f"{min(value):.3f}-{max(value):.3f}" for value in values)
        print(f"{name:<22}", *(f"{cell:>14}" for cell in cells))


def main() -> None:
    """Run the experiment and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--latent-dim", type=int, default=32)
    parser.add_argument("--filters", default="32,64,128")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    start = time.monotonic()
    print(f"{'':<22}", *(f"{name:>14}" for name in (*MEASURES.values(), "R2")))
    rows = []
    with tempfile.TemporaryDirectory(prefix="lowmem-") as folder:
        for seed in range(1, options.seeds + 1):
            rows += study(Path(folder), options, seed)
    if options.seeds > 1:
        print_ranges(rows)
    print(json.dumps({"seconds": round(time.monotonic() - start), "rows": len(rows)}))


if __name__ == "__main__":
    main()

"""Drawing a million vectors, and scoring them: time, memory, violations, exactness.

    python benchmarks/generation.py                    all parts, a table each
    python benchmarks/generation.py samplers scores    some of them
    python benchmarks/generation.py --short            a hundredth of the vectors

`samplers`: 20,000 vectors of `ellipses` on one core, beside plain rejection; then
1,000,000 of every method with a promise, each checked.
`scores`: on distributions of which the answer is known.
`million`: 1,000,000 vectors of 256 dimensions drawn, checked, the first 4,096 decoded by a
tiny decoder and scored, all stored by `lowmem run generate` within 1 GB.
`decoded`: the same with an image of each.

Each sampler runs in a process of its own; its memory is the kernel's: the most that was
resident less the file-backed pages at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Before NumPy loads its threads: all figures are of one core.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

ROOT = Path(__file__).parents[1]
MIB = 2**20
D, SIGMA = 256, 3.0
N_SPEED, N_CHECKED, N_TRIED = 20_000, 1_000_000, 2_000_000
# 5 to 30 ms each: a tenth is 1 to 50 minutes.
N_CHECKED_RAW = 100_000
PROMISING = ("ellipses", "ball", "box", "uniform", "ellipses-raw")

# Draws and checks in a process of its own.
CHILD = """
import json, re, sys, time
from pathlib import Path
sys.path.insert(0, "benchmarks")
from generation import frame_of
from lowmem_jobs.stats.samplers import BLOCK_ROWS, draw_block, sampler
method, n_rows, sigma = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
source = sampler(method, frame_of(), sigma=sigma, quantile=0.9)
seconds = n_broken = 0
for block in range(-(-n_rows // BLOCK_ROWS)):
    start = time.process_time()
    z = draw_block(source, method=method, seed=1, block=block)
    seconds += time.process_time() - start
    n_broken += int(source.breaks_promise(z).sum())
text = Path("/proc/self/status").read_text()
def status(name):
    return 1024 * int(re.search(name + r":\\s+(\\d+)", text)[1])
print(json.dumps({"seconds": seconds, "broken": n_broken,
    "peak": status("VmHWM") - status("RssFile")}))
"""


def frame_of():  # noqa: ANN201 - NumPy and SciPy load only where they are needed
    """Return a frame with variances that fall to 1e-6 of the largest, turned."""
    from lowmem_jobs.stats.frame import PrincipalFrame

    rng = np.random.default_rng(1)
    return PrincipalFrame(
        mean=rng.normal(size=D),
        eigenvalues=np.exp(-np.arange(D) * np.log(1e6) / D),
        components=np.linalg.qr(rng.normal(size=(D, D)))[0],
    )


def show(name: str, value: str, promise: str = "") -> None:
    """Print one row."""
    print(f"  {name:<56}{value:>18}   {promise}", flush=True)


def drawn(method: str, n_rows: int, sigma: float = SIGMA) -> dict:
    """Return time, memory and violations of ``n_rows`` vectors, in a fresh process."""
    child = subprocess.run(
        [sys.executable, "-c", CHILD, method, str(n_rows), str(sigma)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(child.stdout.splitlines()[-1])


def samplers(_: Path, share: float) -> None:
    """Time the samplers, count violations, and say what rejection would cost."""
    n_rows = int(N_SPEED * share)
    found = drawn("ellipses", n_rows)
    show(
        f"ellipses: {n_rows:,} of d = {D}, k = {SIGMA:g}, one core",
        f"{found['seconds']:.2f} s",
        "2 s",
    )
    rejection(n_rows, int(N_TRIED * share), found["seconds"])
    for method in PROMISING:
        n_rows = int((N_CHECKED_RAW if method == "ellipses-raw" else N_CHECKED) * share)
        found = drawn(method, n_rows)
        show(f"{method}: {n_rows:,} drawn, violations", str(found["broken"]), "0")
        show("  drawing", f"{found['seconds']:.1f} s")
        show("  peak, anonymous", f"{found['peak'] / MIB:.0f} MiB")
    n_rows = int(2_048 * max(share, 0.125))
    found = drawn("ellipses-raw", n_rows, 2.0)
    show(
        f"ellipses-raw: {n_rows:,} at 2 sigma (chains), violations",
        str(found["broken"]),
        "0",
    )
    show("  drawing, a vector", f"{1000 * found['seconds'] / n_rows:.1f} ms")


def rejection(n_rows: int, n_tries: int, seconds_exact: float) -> None:
    """Measure what plain rejection accepts and takes; the whole is extrapolated."""
    rng = np.random.default_rng(2)
    n_inside, start = 0, time.process_time()
    for _ in range(-(-n_tries // 2_000)):
        squares = np.square(rng.standard_normal((2_000, D)))
        squares.partition(D - 2, axis=1)
        n_inside += int((squares[:, -2:].sum(axis=1) <= SIGMA**2).sum())
    seconds = time.process_time() - start
    show(f"  rejection: inside of {n_tries:,} tries", f"{n_inside} in {seconds:.1f} s")
    if n_inside:
        whole = seconds / n_inside * n_rows
        error = 100 / np.sqrt(n_inside)
        show(
            f"  rejection: {n_rows:,} vectors, extrapolated",
            f"{whole:,.0f} s +- {error:.0f} %",
        )
        show("  ratio", f"{whole / seconds_exact:,.0f}")


def scores(_: Path, share: float) -> None:
    """Compare scores with what they must be."""
    from scipy.spatial.distance import cdist

    from lowmem_jobs.stats.scores import frechet_distance
    from lowmem_jobs.stats.scores_neighbours import manifold_scores

    rng = np.random.default_rng(3)
    n, d = max(int(50_000 * share), 5_000), 16
    widths = np.linspace(1.0, 3.0, d)
    one, two = rng.normal(size=(n, d)), 0.5 + widths * rng.normal(size=(n, d))
    exact = d * 0.25 + np.square(widths - 1.0).sum()
    found = frechet_distance(one, two)
    show(f"Frechet, n = {n:,}, d = {d}", f"{found:.3f}", f"{exact:.3f} (closed form)")
    n = max(int(4_096 * share), 512)
    real, generated = rng.normal(size=(n, D)), rng.normal(size=(n, D))
    bias = (D + D * (D + 1) / 4) * 2 / n
    if n > 2 * D:
        show(
            f"Frechet of equal normals, n = {n:,}, d = {D}",
            f"{frechet_distance(real, generated):.2f}",
            f"{bias:.2f} (first order)",
        )
    start = time.process_time()
    found = manifold_scores(real, generated, memory_bytes=64 * 10**6)
    seconds = time.process_time() - start
    start = time.process_time()
    real_reach, own_reach = (
        np.partition(cdist(x, x), 5, axis=1)[:, 5] for x in (real, generated)
    )
    between = cdist(real, generated)
    wanted = {
        "precision": (between <= real_reach[:, None]).any(axis=0).mean(),
        "recall": (between <= own_reach).any(axis=1).mean(),
        "density": (between <= real_reach[:, None]).sum(axis=0).mean() / 5,
        "coverage": (between <= real_reach[:, None]).any(axis=1).mean(),
    }
    slow = time.process_time() - start
    for name, value in wanted.items():
        show(
            f"{name}, n = {n:,}, d = {D}",
            f"{getattr(found, name):.6f}",
            f"{value:.6f} (all distances by SciPy)",
        )
    expected = 1.0 - np.prod((n - 1 - np.arange(5)) / (2 * n - 1 - np.arange(5)))
    show("expected of equal distributions: density, coverage", f"1, {expected:.4f}")
    show(
        "seconds, 64 MB",
        f"{seconds:.2f} s",
        f"SciPy, {3 * 8 * n * n / MIB:.0f} MiB: {slow:.2f} s",
    )


# A workspace as training, encoding and analysis leave it, with a tiny decoder.
MAKE = """
import sys
from pathlib import Path
import keras, numpy as np, zarr
from keras import layers
from lowmem.base.workspace import Workspace
sys.path.insert(0, "benchmarks")
from generation import frame_of
space, frame, size, n = Workspace.at(Path(sys.argv[1])), frame_of(), 12, 20_000
space.model.mkdir(parents=True)
z = keras.Input((frame.dimension,))
pixels = layers.Dense(size * size * 3, activation="sigmoid")(z)
decoder = keras.Model(z, layers.Reshape((size, size, 3))(pixels))
decoder.save(space.model / "decoder.keras")
image = keras.Input((size, size, 3), dtype="uint8")
flat = layers.Flatten()(layers.Rescaling(1 / 255)(image))
encoder = keras.Model(image, layers.Dense(frame.dimension)(flat))
encoder.save(space.model / "encoder.keras")
fitted = zarr.open_group(space.analysis, mode="w")
for name in ("mean", "eigenvalues", "components"):
    fitted[name] = getattr(frame, name)
rng = np.random.default_rng(1)
images = rng.integers(0, 256, (n, size, size, 3)).astype(np.uint8)
group = zarr.open_group(space.images, mode="w")
group.create_array("images", data=images, chunks=(128, size, size, 3))
latents = frame.vectors(rng.standard_normal((n, frame.dimension)))
zarr.open_group(space.latents, mode="w")["z"] = latents.astype(np.float32)
(space.model / "training.json").write_text('{"validation_split": 0.42}')
"""


def million(folder: Path, share: float) -> None:
    """Draw, check, score and store within a budget; decode the vectors scored."""
    run_generate(folder / "million", int(1_000_000 * share), "--images", "4096")


def decoded(folder: Path, share: float) -> None:
    """Decode them all."""
    run_generate(folder / "decoded", int(1_000_000 * share))


def run_generate(space: Path, n_rows: int, *words: str) -> None:
    """Run the job in a workspace made for it, and show what it took."""
    make = [sys.executable, "-c", MAKE, str(space)]
    subprocess.run(make, cwd=ROOT, check=True, capture_output=True)
    lowmem = [sys.executable, "-m", "lowmem"]
    options = ["--count", str(n_rows), "--batch-size", "64", "--ram-budget", "1G"]
    options += ["--device", "cpu", "--workspace", str(space), "--quiet", *words]
    start = time.perf_counter()
    subprocess.run([*lowmem, "run", "generate", *options], cwd=ROOT, check=True)
    seconds = time.perf_counter() - start
    report = subprocess.run(
        [*lowmem, "report", str(space), "--json"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    job = json.loads(report.stdout)["jobs"]["generate"]
    kernel = max(cycle["ram_hwm_bytes"] or 0 for cycle in job["cycles"])
    found = json.loads((space / "generated" / "scores.json").read_text())
    stored = np.load(space / "generated" / "z.npy", mmap_mode="r")
    show(
        f"{n_rows:,} vectors of d = {D}, {len(job['cycles'])} cycles",
        f"{seconds:.0f} s",
    )
    show("  stored", f"{stored.shape[0]:,} x {stored.shape[1]}")
    show("  decoded", f"{found['images']:,}")
    show("  violations", str(found["violations"]), "0")
    show(
        "  scored: median of the round trip",
        f"{found['round_trip']['generated']['median']:.1f}",
    )
    show(
        "  peak of what the budget counts",
        f"{job['ram_peak_bytes'] / 1e6:.0f} MB",
        "1,000 MB",
    )
    show("  kernel's high-water mark, files included", f"{kernel / 1e6:.0f} MB")
    show("  attempts, stops", f"{job['attempts']}, {len(job['events'])}", "1, 0")


PARTS = {part.__name__: part for part in (samplers, scores, million, decoded)}


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS])
    parser.add_argument("--short", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lowmem-") as folder:
        for name in arguments.parts or list(PARTS):
            print(name)
            PARTS[name](Path(folder), 0.01 if arguments.short else 1.0)


if __name__ == "__main__":
    main()

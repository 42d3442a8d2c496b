"""Real images through all five jobs: palettes, transparency, odd names and all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

pytestmark = [pytest.mark.process, pytest.mark.keras, pytest.mark.slow]

# Not part of the product: a folder beside the project, where there is one.
IMAGES = Path(__file__).parents[2].parent / "shared" / "data" / "noto-emoji-64.zip"
N_IMAGES = 400
LATENT_DIM = 16


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A workspace after `lowmem run all` on some of the real images."""
    if not IMAGES.exists():
        pytest.skip(f"the real images are not here ({IMAGES})")
    root = tmp_path_factory.mktemp("real") / "w"
    options = ["--source", IMAGES, "--size", 64, "--limit", N_IMAGES, "--epochs", 1]
    options += ["--latent-dim", LATENT_DIM, "--count", 16, "--ram-budget", "2G"]
    line = [sys.executable, "-m", "lowmem", "run", "all", "--workspace", root, *options]
    done = subprocess.run(
        [str(word) for word in line],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return root


def test_every_image_has_its_latent_vector_and_new_ones_are_drawn(workspace):
    images = zarr.open_group(workspace / "images.zarr", mode="r")["images"]
    assert images.shape == (N_IMAGES, 64, 64, 3)
    assert images.dtype == np.uint8
    z = zarr.open_group(workspace / "latents.zarr", mode="r")["z"][:]
    assert z.shape == (N_IMAGES, LATENT_DIM)
    assert np.isfinite(z).all()
    covariance = zarr.open_group(workspace / "analysis.zarr", mode="r")["covariance"]
    np.testing.assert_allclose(
        covariance[:], np.cov(z, rowvar=False), rtol=1e-4, atol=1e-6
    )
    assert np.load(workspace / "generated" / "z.npy").shape == (16, LATENT_DIM)
    assert (workspace / "generated" / "grid.png").stat().st_size > 1000


def test_transparent_pixels_are_white_in_the_store(workspace):
    images = zarr.open_group(workspace / "images.zarr", mode="r")["images"]
    corners = images[:, 0, 0]
    assert (corners == 255).all(axis=1).mean() > 0.5


def test_all_peaks_are_within_the_budget(workspace):
    done = subprocess.run(
        [sys.executable, "-m", "lowmem", "report", str(workspace), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    jobs = json.loads(done.stdout)["jobs"]
    assert list(jobs) == ["ingest", "train", "encode", "analyze", "generate"]
    for job in jobs.values():
        assert job["state"] == "done"
        for cycle in job["cycles"]:
            assert 0 < cycle["ram_peak_bytes"] <= 2 * 10**9

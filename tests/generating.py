"""A small workspace in which `generate` can start, and ways to look at what it left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import zarr

from lowmem.base.workspace import Workspace
from lowmem.stores.validation_split import Split, split_rows

D, SIZE, N_IMAGES = 3, 12, 100
HELD_OUT = 0.4


def make_workspace(root: Path) -> Path:
    """Make models, an analysis, images of noise, their vectors, and a split."""
    space = Workspace.at(root)
    save_models(space.model)
    save_analysis(space.analysis)
    images = np.random.default_rng(1).integers(0, 256, (N_IMAGES, SIZE, SIZE, 3))
    group = zarr.open_group(space.images, mode="w")
    group.create_array(
        "images", data=images.astype(np.uint8), chunks=(50, SIZE, SIZE, 3)
    )
    latents = zarr.open_group(space.latents, mode="w")
    latents["z"] = encoded(space, images.astype(np.uint8))
    account = {"validation_split": HELD_OUT}
    (space.model / "training.json").write_text(json.dumps(account))
    return space.root


def save_models(folder: Path, *, dimension: int = D) -> None:
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    folder.mkdir(parents=True)
    vector = keras.Input((dimension,))
    x = layers.Dense(SIZE * SIZE * 3, activation="sigmoid")(vector)
    decoded = layers.Reshape((SIZE, SIZE, 3))(x)
    keras.Model(vector, decoded).save(folder / "decoder.keras")
    image = keras.Input((SIZE, SIZE, 3), dtype="uint8")
    x = layers.Flatten()(layers.Rescaling(1 / 255)(image))
    keras.Model(image, layers.Dense(dimension)(x)).save(folder / "encoder.keras")


def save_analysis(store: Path) -> None:
    rng = np.random.default_rng(2)
    axes, _ = np.linalg.qr(rng.standard_normal((D, D)))
    group = zarr.open_group(store, mode="w")
    group["mean"] = np.array([1.0, -1.0, 0.5])
    group["eigenvalues"] = np.array([2.0, 0.5, 0.1])
    group["components"] = axes


def content(root: Path) -> dict[str, bytes]:
    folder = root / "generated"
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def split_of(root: Path) -> Split:
    images = Workspace.at(root).images
    return split_rows(images, n_rows=N_IMAGES, fraction=HELD_OUT)


def encoded(space: Workspace, images: np.ndarray) -> np.ndarray:
    import keras

    return np.asarray(keras.models.load_model(space.model / "encoder.keras")(images))

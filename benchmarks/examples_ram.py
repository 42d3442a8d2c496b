"""What the worked examples make, by plain NumPy, scikit-learn and Keras, all in RAM.

    python benchmarks/examples_ram.py NAME DATA WORKSPACE [OPTIONS AS JSON]

It prints one JSON object: `peak_bytes`, the kernel's high-water mark of this process, and
`far`, how far what lies in the workspace is from what is found here, by name.

Each function reads all of the data at once, and knows of lowmem no more than it takes to
compare. What a comparison leaves free is what mathematics leaves free: the sign of a
component, and what rounding makes of another order of sums.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Far = dict[str, float]

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"


def spectra(data: Path, made: Path) -> Far:
    """Compare with NumPy on the whole array."""
    expected = np.abs(np.fft.rfft(np.load(data), axis=1)) ** 2
    found = zarr.open_group(made / "spectra.zarr", mode="r")["spectra"][:]
    return {"spectra": _worst(found, expected)}


def topics(data: Path, made: Path, *, features: int, topics: int) -> Far:
    """Compare with scikit-learn's pipeline on all texts."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    texts = data.read_text(encoding="utf-8").splitlines()
    hashing = HashingVectorizer(n_features=features, alternate_sign=False, norm=None)
    tfidf = TfidfTransformer().fit_transform(hashing.transform(texts))
    svd = TruncatedSVD(topics, algorithm="arpack", random_state=0)
    places = svd.fit_transform(tfidf)
    found = np.load(made / "topics.npy")
    signs = np.sign((found * svd.components_).sum(axis=1))
    strengths = np.load(made / "strengths.npy")
    return {
        "strengths": _worst(strengths, svd.singular_values_) / strengths[0],
        "topics": _worst(found * signs[:, None], svd.components_),
        "texts": _worst(np.load(made / "texts.npy") * signs, places),
    }


def clusters(data: Path, made: Path, *, n_clusters: int, rows: int) -> Far:
    """Compare with scikit-learn's k-means, given the same parts of an array in RAM."""
    from sklearn.cluster import MiniBatchKMeans

    values = (
        np.load(data) if data.suffix == ".npy" else zarr.open_array(data, mode="r")[:]
    )
    values = values.reshape(len(values), -1)
    kmeans = MiniBatchKMeans(n_clusters, random_state=1)
    parts = range(0, len(values), rows)
    for start in parts:
        kmeans.partial_fit(values[start : start + rows].astype(np.float32))
    labels = [
        kmeans.predict(values[start : start + rows].astype(np.float32))
        for start in parts
    ]
    return {
        "centres": _worst(np.load(made / "centres.npy"), kmeans.cluster_centers_),
        "labels": _worst(np.load(made / "labels.npy"), np.concatenate(labels)),
    }


def eigenfaces(data: Path, made: Path) -> Far:
    """Compare with scikit-learn's PCA, by ARPACK in double precision."""
    from sklearn.decomposition import PCA

    images = zarr.open_group(data, mode="r")["images"][:]
    faces = np.load(made / "eigenfaces.npy")
    faces = faces.reshape(len(faces), -1)
    pca = PCA(len(faces), svd_solver="arpack", random_state=0, copy=False)
    pca.fit(images.reshape(len(images), -1).astype(float))
    variances = np.load(made / "variances.npy")
    signs = np.sign((faces * pca.components_).sum(axis=1))
    mean = np.load(made / "mean-face.npy").ravel()
    return {
        "mean": _worst(mean, pca.mean_),
        "variances": float(np.abs(variances / pca.explained_variance_ - 1).max()),
        "eigenfaces": _worst(faces * signs[:, None], pca.components_),
    }


def classifier(
    data: Path, made: Path, *, epochs: int, patience: int, seed: int = 1
) -> Far:
    """Compare with Keras' own `fit`, its early stopping and its best weights."""
    import keras

    sys.path.insert(0, str(EXAMPLES))
    import classifier as example

    from lowmem.stores import split_rows

    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    group = zarr.open_group(data, mode="r")
    images, labels = group["images"][:], group["labels"][:]
    split = split_rows(data, n_rows=len(images), fraction=0.2)
    size = example.BATCH
    n_steps = len(split.training) // size
    held_out = split.validation[: len(split.validation) // size * size]

    def batches() -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        for epoch in range(epochs):
            order = example.order_of(split.training, seed, epoch)
            for rows in order.reshape(-1, size):
                yield example.changed(images[rows], rows, seed, epoch), labels[rows]

    n_classes = int(labels.max()) + 1
    model = example.build(images.shape[1:], n_classes, epochs * n_steps, seed)
    begun = model.get_weights()
    stop = keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True)
    fitted = model.fit(
        batches(), steps_per_epoch=n_steps, epochs=epochs, callbacks=[stop], verbose=0, shuffle=False,
        validation_data=(images[held_out], labels[held_out]), validation_batch_size=size,
    )  # fmt: skip
    weights = model.get_weights()
    model.load_weights(made / "classifier.weights.h5")
    history = np.loadtxt(made / "history.csv", ndmin=2)
    losses = fitted.history["val_loss"]
    return {
        # As a share of the way that the training went.
        "weights": _norm(model.get_weights(), weights) / _norm(begun, weights),
        "losses": _worst(history[:, 0], np.array(losses)),
    }


def _worst(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest difference; infinite where shapes differ."""
    if found.shape != expected.shape:
        return float("inf")
    parts = [slice(start, start + 4096) for start in range(0, len(found), 4096)]
    return max(
        float(np.abs(np.subtract(found[part], expected[part], dtype=float)).max())
        for part in parts
    )


def _norm(some: list[NDArray[Any]], others: list[NDArray[Any]]) -> float:
    pairs = zip(some, others, strict=True)
    squares = [np.square(np.subtract(a, b, dtype=float)).sum() for a, b in pairs]
    return float(np.sqrt(sum(squares)))


EQUIVALENTS: dict[str, Callable[..., Far]] = {
    "spectra": spectra,
    "topics": topics,
    "clusters": clusters,
    "eigenfaces": eigenfaces,
    "classifier": classifier,
}


def main() -> None:
    """Compare one example, and print what was found."""
    name, data, made, *options = sys.argv[1:]
    given = json.loads(options[0]) if options else {}
    far = EQUIVALENTS[name](Path(data), Path(made), **given)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_bytes": peak, "far": far}))


if __name__ == "__main__":
    main()

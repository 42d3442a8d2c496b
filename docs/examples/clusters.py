"""Clusters of rows that are larger than memory: scikit-learn's `partial_fit`."""

import io
from pathlib import Path

import lowmem

ROWS = 1_000  # Of a step. Not a setting: what is learned depends on it.


def flat(rows):
    """Return rows of values as scikit-learn takes them."""
    import numpy as np

    return np.asarray(rows).reshape(len(rows), -1).astype(np.float32)


@lowmem.job(
    unit="rows",
    uses_device=False,
    settings=[{"held": 4}, {"held": 1}],
    outputs=["centres.npy", "labels.npy"],
)
def clusters(ctx, data: Path, clusters: int = 8):
    """Clusters of the rows of a .npy file or a Zarr array."""
    import numpy as np
    import zarr
    from sklearn.cluster import MiniBatchKMeans

    is_npy = data.suffix == ".npy"
    rows = np.load(data, mmap_mode="r") if is_npy else zarr.open_array(data, mode="r")
    kmeans, is_learned = ctx.restore(
        kmeans=MiniBatchKMeans(clusters, random_state=ctx.seed), is_learned=False
    )
    held = ctx.settings["held"]
    for block in ctx.blocks(rows, rows=ROWS, held=held, name="learn"):
        kmeans.partial_fit(flat(block))
        yield ctx.commit(kmeans=kmeans, is_learned=False)
    labels = ctx.append("labels.npy")
    if not is_learned:
        header = io.BytesIO()
        shape = {"descr": "<i4", "fortran_order": False, "shape": rows.shape[:1]}
        np.lib.format.write_array_header_1_0(header, shape)
        labels.write(header.getvalue())
    for block in ctx.blocks(rows, rows=ROWS, held=held, name="label"):
        labels.write(kmeans.predict(flat(block)).astype("<i4").tobytes())
        yield ctx.commit(kmeans=kmeans, is_learned=True)
    np.save(ctx.staging / "centres.npy", kmeans.cluster_centers_)

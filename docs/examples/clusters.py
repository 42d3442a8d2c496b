"""Clusters of rows that are larger than memory: a loop of scikit-learn's `partial_fit`.

python clusters.py ROWS N_CLUSTERS, where ROWS is a .npy file or a Zarr array.
"""

import sys

import numpy as np
import zarr
from sklearn.cluster import MiniBatchKMeans

import lowmem

ROWS = 1_000  # Of a step.


def flat(rows):
    """Return rows of values as scikit-learn takes them."""
    return np.asarray(rows).reshape(len(rows), -1).astype(np.float32)


path, n_clusters = sys.argv[1], int(sys.argv[2])
is_npy = path.endswith(".npy")
data = np.load(path, mmap_mode="r") if is_npy else zarr.open_array(path, mode="r")
starts = range(0, data.shape[0], ROWS)
kmeans = MiniBatchKMeans(n_clusters, random_state=1)
with lowmem.Checkpoint("clusters") as checkpoint:
    state = checkpoint.restore({"step": 0, "kmeans": kmeans})
    for step in range(state["step"], len(starts)):
        kmeans.partial_fit(flat(data[starts[step] : starts[step] + ROWS]))
        stopping = checkpoint.stopping
        checkpoint.commit({"step": step + 1, "kmeans": kmeans})
        if stopping:
            sys.exit(75)
# What follows from the centres alone is done again after a kill.
labels = np.lib.format.open_memmap("labels.npy", "w+", np.int32, data.shape[:1])
for start in starts:
    labels[start : start + ROWS] = kmeans.predict(flat(data[start : start + ROWS]))
labels.flush()
np.save("centres.npy", kmeans.cluster_centers_)

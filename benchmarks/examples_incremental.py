"""What scikit-learn's IncrementalPCA takes beside a batch of rows with many values.

    python benchmarks/examples_incremental.py [IMAGES IN A BATCH]

The batch is random numbers in double precision, as many as images of 96 x 96 x 3 have.
What two calls of `partial_fit` take beyond the libraries and the batch itself is the
difference of the kernel's high-water mark of this process.
"""

from __future__ import annotations

import resource
import sys

import numpy as np
from sklearn.decomposition import IncrementalPCA

N_VALUES, N_COMPONENTS = 96 * 96 * 3, 16


def peak_bytes() -> int:
    """Return the kernel's high-water mark of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    """Print the batch, and what came on top of it."""
    n_rows = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    draw = np.random.default_rng(1)
    # What is loaded late is loaded now.
    IncrementalPCA(2).partial_fit(draw.standard_normal((8, 4)))
    batch = draw.standard_normal((n_rows, N_VALUES))
    before = peak_bytes()
    pca = IncrementalPCA(N_COMPONENTS)
    for _ in range(2):
        pca.partial_fit(batch)
    more = peak_bytes() - before
    print(
        f"{n_rows} rows of {N_VALUES:,} values: {batch.nbytes / 1e6:,.0f} MB, "
        f"and {more / 1e6:,.0f} MB more ({1 + more / batch.nbytes:.1f} times the batch)"
    )


if __name__ == "__main__":
    main()

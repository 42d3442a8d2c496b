"""Eigenfaces of images that are larger than memory: their leading principal components.

Images of 96 x 96 x 3 have d = 27,648 values, and their covariance 6 GB. What is held
instead has d times some components, and each pass multiplies it by the covariance:
subspace iteration, algorithm 4.4 of Halko, Martinsson & Tropp (2011), SIAM Review
53(2):217-288, with the mean taken off.
"""

from pathlib import Path

import lowmem

ROWS = 128  # Computed together. Not a setting: sums are taken by it, and round by it.
MORE = 16  # Components that are iterated and thrown away: those that are kept settle sooner.


@lowmem.job(
    unit="images",
    uses_device=False,
    settings=[{"held": 4}, {"held": 1}],
    calibrate="held",
)
def eigenfaces(ctx, data: Path, components: int = 16, passes: int = 8):
    """Eigenfaces of a store of images."""
    import numpy as np
    import zarr

    from lowmem.base import UsageError

    images = zarr.open_group(data, mode="r")["images"]
    n, d = images.shape[0], int(np.prod(images.shape[1:]))
    if not (0 < components <= min(n - 1, d) and passes > 0):
        raise UsageError(
            f"--components is {components} and --passes {passes}, expected 1 to "
            f"{min(n - 1, d)} and 1 or more: {n} images of {d} values have no more."
        )
    at = {"pass": 0, "variances": [], **ctx.state}
    if ctx.state:
        total, basis, product = (ctx.arrays[k] for k in ("total", "basis", "product"))
    else:
        total, product = np.zeros(d, np.int64), np.zeros((d, min(components + MORE, d)))
        basis = np.random.default_rng(ctx.seed).standard_normal(product.shape)

    def blocks(step):
        """Yield rows of values, from the last commit on."""
        held = ctx.settings["held"]
        for block in ctx.blocks(images, rows=ROWS, held=held, name=f"pass {step}"):
            yield np.asarray(block).reshape(len(block), d)

    def point():
        arrays = {"total": total, "basis": basis, "product": product}
        return lowmem.CommitPoint(state=dict(at), arrays=arrays)

    if at["pass"] == 0:
        for rows in blocks(0):
            total = total + rows.sum(axis=0, dtype=np.int64)
            yield point()
        at["pass"], basis = 1, np.linalg.qr(basis)[0]
    mean = total / n
    for step in range(at["pass"], passes + 1):
        at["pass"] = step
        for rows in blocks(step):
            centred = rows - mean
            product = product + centred.T @ (centred @ basis)
            yield point()
        # Within what the basis spans, the covariance is this small matrix.
        values, vectors = np.linalg.eigh(basis.T @ product / (n - 1))
        values, vectors = values[::-1][:components], vectors[:, ::-1][:, :components]
        at["variances"] = [*at["variances"], float(values.sum())]
        if step < passes:
            basis, product = np.linalg.qr(product)[0], np.zeros_like(product)
    faces = (basis @ vectors).T
    # The sign of a component is free: its largest value is made positive.
    largest = np.abs(faces).argmax(axis=1)
    faces *= np.sign(faces[np.arange(components), largest])[:, None]
    shape = (components, *images.shape[1:])
    np.save(ctx.staging / "eigenfaces.npy", faces.reshape(shape).astype("f4"))
    np.save(ctx.staging / "mean-face.npy", mean.reshape(shape[1:]))
    np.save(ctx.staging / "variances.npy", values)
    return lowmem.Result(
        publish=["eigenfaces.npy", "mean-face.npy", "variances.npy"],
        # Of each pass: where the last ones are equal, more would change nothing.
        summary={"images": n, "variance": at["variances"]},
    )

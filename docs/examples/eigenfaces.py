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
    outputs=["eigenfaces.npy", "mean-face.npy", "variances.npy"],
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
    shape = (d, min(components + MORE, d))
    at = ctx.restore(
        step=0,
        variances=[],
        total=np.zeros(d, np.int64),
        basis=np.random.default_rng(ctx.seed).standard_normal(shape),
        product=np.zeros(shape),
    )

    def blocks(step):
        """Yield rows of values, from the last commit on."""
        held = ctx.settings["held"]
        for block in ctx.blocks(images, rows=ROWS, held=held, name=f"pass {step}"):
            yield np.asarray(block).reshape(len(block), d)

    if at.step == 0:
        for rows in blocks(0):
            at.total = at.total + rows.sum(axis=0, dtype=np.int64)
            yield ctx.commit(**vars(at))
        at.step, at.basis = 1, np.linalg.qr(at.basis)[0]
    mean = at.total / n
    for step in range(at.step, passes + 1):
        at.step = step
        for rows in blocks(step):
            centred = rows - mean
            at.product = at.product + centred.T @ (centred @ at.basis)
            yield ctx.commit(**vars(at))
        # Within what the basis spans, the covariance is this small matrix.
        values, vectors = np.linalg.eigh(at.basis.T @ at.product / (n - 1))
        values, vectors = values[::-1][:components], vectors[:, ::-1][:, :components]
        at.variances = [*at.variances, float(values.sum())]
        if step < passes:
            at.basis, at.product = np.linalg.qr(at.product)[0], np.zeros(shape)
    faces = (at.basis @ vectors).T
    # The sign of a component is free: its largest value is made positive.
    largest = np.abs(faces).argmax(axis=1)
    faces *= np.sign(faces[np.arange(components), largest])[:, None]
    faces = faces.reshape(components, *images.shape[1:])
    np.save(ctx.staging / "eigenfaces.npy", faces.astype("f4"))
    np.save(ctx.staging / "mean-face.npy", mean.reshape(images.shape[1:]))
    np.save(ctx.staging / "variances.npy", values)
    # Of each pass: where the last ones are equal, more would change nothing.
    return lowmem.Result(summary={"images": n, "variance": at.variances})

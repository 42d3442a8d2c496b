"""What plain Keras' `fit` makes of a model of `users_models.py`: by hand, without lowmem.

    python models_fit.py NAME FOLDER

`FOLDER` holds `given.npy`, the images of every epoch in their order (epochs, n, h, w, c),
`images.npy` (n, h, w, c) to encode and `z.npy` to decode. `fitted.npz` is written there.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import users_models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

LATENT_DIM, BATCH, SEED = 4, 128, 1


def main(name: str, folder: Path) -> None:
    """Fit on whole batches, and write the weights, the losses, and what they make."""
    given = np.load(folder / "given.npy")
    epochs, n_images = given.shape[:2]
    keras.utils.set_random_seed(SEED)
    # lowmem has Keras' own generator made first, and that draws its seed from the same
    # source as the weights.
    keras.random.uniform(())
    build = getattr(users_models, name)
    model = build(input_shape=given.shape[2:], latent_dim=LATENT_DIM)
    begun = weights_of(model)
    report = model.fit(
        batches(given), epochs=epochs, steps_per_epoch=-(-n_images // BATCH), verbose=0
    )
    encoder, decoder = halves(name, model)
    arrays = {f"begun-{n:03d}": value for n, value in enumerate(begun)}
    arrays |= {f"ended-{n:03d}": value for n, value in enumerate(weights_of(model))}
    np.savez(
        folder / "fitted.npz",
        losses=report.history["loss"],
        z=encoder.predict(np.load(folder / "images.npy"), verbose=0),
        decoded=np.squeeze(decoder.predict(np.load(folder / "z.npy"), verbose=0)),
        **arrays,
    )


def batches(given: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield the batches of all epochs, with targets in 0..1; the last of each is short."""
    for epoch in given:
        for start in range(0, len(epoch), BATCH):
            x = epoch[start : start + BATCH]
            yield x, x.astype(np.float32) / np.float32(255)


def weights_of(model: keras.Model) -> list[NDArray[Any]]:
    """Return all weights but the states of generators."""
    return [
        np.asarray(keras.ops.convert_to_numpy(v))
        for v in model.weights
        if "seed" not in v.path
    ]


def halves(name: str, model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Return encoder and decoder."""
    if name == "nested":
        return model.get_layer("enc"), model.get_layer("dec")
    z = model.get_layer("z").output
    return keras.Model(model.inputs, z), keras.Model(z, model.outputs)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

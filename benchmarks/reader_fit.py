"""The parts of `reader.py` that train: what `fit` can be fed with."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
from reader_data import BATCH, SHAPE, write_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

N_FIT, N_MODEL, N_ROUNDS = 6_400, 640, 7


def sources(folder: Path, n: int, seed: int) -> dict[str, Callable[[int], tuple]]:
    """Return what feeds `fit` for some epochs: data, and steps in an epoch."""
    import keras

    import lowmem
    from lowmem.stores.order import epoch_order
    from lowmem.stores.read import RowReader

    with RowReader.open(folder / "none.zarr", "images") as reader:
        images = reader.read(0, n)

    steps = (n + BATCH - 1) // BATCH

    class InRam(keras.utils.PyDataset):
        """The same batches in the same order, from RAM."""

        def __init__(self) -> None:
            super().__init__()
            self.epoch, self.is_begun = 0, False

        def __len__(self) -> int:
            return steps

        def __getitem__(self, index: int) -> tuple:
            order = epoch_order(n_rows=n, seed=seed, epoch=self.epoch)
            x = images[order[index * BATCH : (index + 1) * BATCH]]
            return x, x

        def on_epoch_begin(self) -> None:
            self.is_begun = True

        def on_epoch_end(self) -> None:
            self.epoch += self.is_begun

    def sequence() -> lowmem.ZarrSequence:
        return lowmem.ZarrSequence(
            folder / "none.zarr", batch_size=BATCH, rows=range(n), seed=seed
        )

    return {
        "PyDataset in RAM": lambda _: (InRam(), None),
        "lowmem.ZarrSequence": lambda _: (sequence(), None),
        "its tf_dataset": lambda epochs: (sequence().tf_dataset(epochs=epochs), steps),
    }


def fit(folder: Path, _: argparse.Namespace) -> None:
    """Compare what `fit` can be fed with, on a model that costs nothing."""
    import keras

    write_store(folder / "none.zarr", N_FIT, "none")

    class Cheap(keras.Model):
        """Looks at one pixel."""

        def __init__(self) -> None:
            super().__init__()
            self.seen = self.add_weight(shape=(), initializer="zeros")

        def train_step(self, data: tuple) -> dict:
            self.seen.assign_add(keras.ops.cast(data[0][0, 0, 0, 0], "float32"))
            return {"loss": self.seen.value}

    models = {}
    for name in sources(folder, N_FIT, 1):
        models[name] = Cheap()
        models[name].compile("sgd")
    rounds = [timed_fits(folder, N_FIT, models, epochs=2) for _ in range(N_ROUNDS)]
    compare(rounds[1:], 2 * N_FIT)


def timed_fits(folder: Path, n: int, models: dict, *, epochs: int) -> dict[str, float]:
    """Return the seconds of `fit` with each source, in turn."""
    seconds = {}
    for name, make in sources(folder, n, 1).items():
        data, steps = make(epochs)
        begun = time.perf_counter()
        models[name].fit(
            data, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0
        )
        seconds[name] = time.perf_counter() - begun
    return seconds


def compare(rounds: list[dict[str, float]], n: int) -> None:
    """Print speeds, and ratios to the first."""
    first = next(iter(rounds[0]))
    for name in rounds[0]:
        rate = statistics.median(n / each[name] for each in rounds)
        ratio = statistics.median(each[first] / each[name] for each in rounds)
        print(f"  {name:<36}{rate / 1000:>7.1f} k/s{ratio:>8.2f}")


def model(folder: Path, _: argparse.Namespace) -> None:
    """Compare the training of an autoencoder from RAM and from disk."""
    import keras

    from lowmem.training.autoencoder import build_autoencoder, compile_autoencoder

    write_store(folder / "none.zarr", N_MODEL, "none")
    models = {}
    for name in sources(folder, N_MODEL, 1):
        keras.utils.set_random_seed(1)
        models[name] = build_autoencoder(
            input_shape=SHAPE, latent_dim=32, filters=(8, 16, 32), batch_norm=False
        )
        compile_autoencoder(models[name], loss="mse", learning_rate=1e-3)
    rounds = [timed_fits(folder, N_MODEL, models, epochs=2) for _ in range(4)]
    compare(rounds[1:], 2 * N_MODEL)
    first, *others = (each.get_weights() for each in models.values())
    same = all(
        np.array_equal(a, b)
        for other in others
        for a, b in zip(first, other, strict=True)
    )
    print(f"  final weights {'equal' if same else 'DIFFER'}")

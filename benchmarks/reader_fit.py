"""The parts of `reader.py` that train: what `fit` can be fed with."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
from reader_data import BATCH, CHUNK, ROW_BYTES, SHAPE, write_store

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path

N_FIT, N_MODEL, N_ROUNDS = 6_400, 480, 7
# A budget of a tenth of the data holds the four batches of the reader and its order.
BATCHES_OF_DATA = 48


def sources(
    folder: Path, n: int, *, batch: int = BATCH, memory_bytes: int | None = None
) -> dict[str, Callable[[int], tuple]]:
    """Return what feeds `fit` for some epochs: data, and steps in an epoch."""
    import keras

    import lowmem
    from lowmem.stores.epoch_order import epoch_order
    from lowmem.stores.row_reader import RowReader

    with RowReader.open(folder / "none.zarr", "images") as reader:
        images = reader.read(0, n)

    seed, steps = 1, -(-n // batch)

    class InRam(keras.utils.PyDataset):
        """The same batches in the same order, from RAM."""

        def __init__(self) -> None:
            super().__init__()
            self.epoch, self.is_begun = 0, False

        def __len__(self) -> int:
            return steps

        def __getitem__(self, index: int) -> tuple:
            order = epoch_order(n_rows=n, seed=seed, epoch=self.epoch)
            x = images[order[index * batch : (index + 1) * batch]]
            return x, x

        def on_epoch_begin(self) -> None:
            self.is_begun = True

        def on_epoch_end(self) -> None:
            self.epoch += self.is_begun

    def sequence() -> lowmem.ZarrSequence:
        return lowmem.ZarrSequence(
            folder / "none.zarr", batch_size=batch, seed=seed, memory_bytes=memory_bytes
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

    models, feeds = {}, sources(folder, N_FIT)
    for name in feeds:
        models[name] = Cheap()
        models[name].compile("sgd")
    rounds = [timed_fits(feeds, models, epochs=2) for _ in range(N_ROUNDS)]
    compare(rounds[1:], 2 * N_FIT)


def timed_fits(feeds: dict, models: dict, *, epochs: int) -> dict[str, float]:
    """Return the seconds of `fit` with each source, in turn."""
    seconds = {}
    for name, make in feeds.items():
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
        print(f"  {name:<36}{rate:>9.0f} /s{ratio:>9.3f}")


def model(folder: Path, options: argparse.Namespace) -> None:
    """Compare the training of the study's autoencoder from RAM and from disk."""
    import keras

    from lowmem.stores.reading import Reading, plan_reading
    from lowmem_jobs.model.autoencoder import build_autoencoder, compile_autoencoder
    from lowmem_jobs.train.architecture import architecture_from_options

    n = options.n or N_MODEL
    write_store(folder / "none.zarr", n, "none")
    batch, budget = max(1, n // BATCHES_OF_DATA), n * ROW_BYTES // 10
    feeds = sources(folder, n, batch=batch, memory_bytes=budget)
    reading = Reading(
        n_rows=n,
        row_bytes=ROW_BYTES,
        chunk_rows=CHUNK,
        batch_rows=batch,
        is_compressed=False,
    )
    held = plan_reading(reading, memory_bytes=budget).memory_bytes
    print(
        f"  {n} images, {n * ROW_BYTES / 1e6:.1f} MB, batches of {batch}; budget of the "
        f"reader {budget / 1e6:.2f} MB, it holds {held / 1e6:.2f} MB"
    )
    preset = architecture_from_options(
        {"filters": None, "latent_dim": None, "batch_norm": False}, SHAPE
    )
    models = {}
    for name in feeds:
        keras.utils.set_random_seed(1)
        models[name] = build_autoencoder(
            input_shape=SHAPE,
            latent_dim=preset.latent_dim,
            filters=preset.filters,
            batch_norm=preset.batch_norm,
        )
        compile_autoencoder(models[name], loss="mse", learning_rate=1e-3)
    n_weights = models[name].count_params()
    print(f"  autoencoder of {n_weights / 1e6:.1f} million weights")
    rounds = [timed_fits(feeds, models, epochs=1) for _ in range(options.rounds + 1)]
    compare(rounds[1:], n)
    first, *others = (each.get_weights() for each in models.values())
    same = all(
        np.array_equal(a, b)
        for other in others
        for a, b in zip(first, other, strict=True)
    )
    print(f"  order and final weights {'equal' if same else 'DIFFER'}")

"""One process of a training that may be killed: what a script of a user's would be.

    python fit_run.py lowmem|backup|orbax|plain FOLDER

`FOLDER` gets `steps.txt`, a line for each step that was taken, and `end.npz` with weights
and losses once the training is done. Each of the three commits every `EVERY` steps and is
given what its own pages say. `plain` is Keras' `fit` alone.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from fit import BATCH, EPOCHS, N_ROWS

import lowmem

N_FEATURES, EVERY, SEED = 64, 10, 1


class Told(keras.callbacks.Callback):
    """Notes each step, whatever becomes of it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = str(path)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:  # noqa: ARG002
        """Note that the process has started up."""
        self._note("begin")

    def on_train_batch_end(
        self,
        batch: int,  # noqa: ARG002 - as Keras calls it
        logs: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> None:
        """Note a step."""
        self._note("step")

    def _note(self, word: str) -> None:
        with Path(self.path).open("a", encoding="utf-8") as stream:
            stream.write(f"{word} {time.time():.3f}\n")


def model_of() -> keras.Model:
    """Return a classifier with dropout and batch normalisation."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((N_FEATURES,)),
            layers.Dense(256, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def main(kind: str, folder: Path) -> None:
    """Train, going on from what the folder holds."""
    keras.utils.set_random_seed(SEED)
    rng = np.random.default_rng(SEED)
    x = rng.normal(size=(N_ROWS, N_FEATURES)).astype("float32")
    y = rng.integers(0, 10, size=N_ROWS)
    model = model_of()
    callbacks = [
        Told(folder / "steps.txt"),
        keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.5),
    ]
    words: dict[str, Any] = {"epochs": EPOCHS, "batch_size": BATCH, "verbose": 0}
    if kind == "lowmem":
        history = lowmem.fit(
            model,
            x,
            y,
            workspace=folder,
            every_steps=EVERY,
            callbacks=callbacks,
            **words,
        )
    else:
        callbacks += restoring(kind, folder)
        history = model.fit(x, y, callbacks=callbacks, **words)
    np.savez(folder / "end.npz", *model.get_weights(), losses=history.history["loss"])


def restoring(kind: str, folder: Path) -> list[Any]:
    """Return the callback of Keras' that goes on."""
    if kind == "backup":
        # It is told to keep what it saved, so that no kill at the end can begin anew.
        return [
            keras.callbacks.BackupAndRestore(
                str(folder / "backup"), save_freq=EVERY, delete_checkpoint=False
            )
        ]
    if kind == "orbax":
        return [keras.callbacks.OrbaxCheckpoint(str(folder / "orbax"), save_freq=EVERY)]
    return []


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

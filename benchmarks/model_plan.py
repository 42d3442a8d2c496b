"""What `lowmem plan --model` says of five models, beside what their trainings then take.

    python benchmarks/model_plan.py                   all five, some 8 minutes on two cores
    python benchmarks/model_plan.py lstm unet         some of them
    KERAS_BACKEND=jax python benchmarks/model_plan.py

Each model is planned at its batch within a budget. Then it is trained by plain Keras, in a
process that knows nothing of lowmem: 12 steps of `fit` on batches that are made anew, at
the batch that was asked about, and at the one that was called the largest. `real` is the
kernel's peak of that process: its high-water mark (VmHWM), less the pages of files that it
had mapped at its end, which no budget counts. `line` is what two smaller batches predict,
`trial` what the batch's own trial took, both beside `real`. The last column says whether
the real training of the largest batch, with lowmem's own 18 MiB, stayed within the budget.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.units import bytes_from_size
from lowmem.supervisor.order import SUPERVISOR_BYTES

if TYPE_CHECKING:
    import keras

MB = 1e6
BUDGET = "1G"
STEPS = 12
BATCHES = {"dense": 256, "autoencoder": 32, "lstm": 64, "transformer": 16, "unet": 8}


def dense() -> keras.Model:
    """Classify 3,072 values by two layers."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((3072,)),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def autoencoder() -> keras.Model:
    """Fold and unfold images of 64 pixels."""
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((64, 64, 3)),
            *(
                layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")
                for width in (32, 64, 128)
            ),
            layers.Flatten(),
            layers.Dense(64),
            layers.Dense(8 * 8 * 128),
            layers.Reshape((8, 8, 128)),
            *(
                layers.Conv2DTranspose(
                    width, 3, strides=2, padding="same", activation="relu"
                )
                for width in (64, 32, 16)
            ),
            layers.Conv2D(3, 3, padding="same"),
        ]
    )
    model.compile("adam", "mse")
    return model


def lstm() -> keras.Model:
    """Classify sequences of 128 words."""
    import keras

    model = keras.Sequential(
        [
            keras.Input((128,), dtype="int32"),
            keras.layers.Embedding(20_000, 64),
            keras.layers.LSTM(128, return_sequences=True),
            keras.layers.LSTM(64),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    return model


def transformer() -> keras.Model:
    """Predict the next of 8,000 words, by two blocks of attention over 128."""
    import keras

    layers = keras.layers
    words = keras.Input((128,), dtype="int32")
    x = layers.Embedding(8_000, 128)(words)
    for _ in range(2):
        attention = layers.MultiHeadAttention(num_heads=4, key_dim=32)
        x = layers.LayerNormalization()(x + attention(x, x, use_causal_mask=True))
        wide = layers.Dense(512, activation="gelu")(x)
        x = layers.LayerNormalization()(x + layers.Dense(128)(wide))
    model = keras.Model(words, layers.Dense(8_000)(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adamw", loss)
    return model


def unet() -> keras.Model:
    """Segment images of 96 pixels."""
    import keras

    layers = keras.layers

    def pair(x: object, width: int) -> object:
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.Activation("relu")(layers.BatchNormalization()(x))
        return x

    images = keras.Input((96, 96, 3))
    x, across = images, []
    for width in (16, 32, 64):
        x = pair(x, width)
        across.append(x)
        x = layers.MaxPooling2D()(x)
    x = pair(x, 128)
    for width, one in zip((64, 32, 16), reversed(across), strict=True):
        x = layers.Concatenate()([layers.UpSampling2D()(x), one])
        x = pair(x, width)
    model = keras.Model(images, layers.Conv2D(1, 1, activation="sigmoid")(x))
    model.compile("adam", "binary_crossentropy")
    return model


MODELS = {one.__name__: one for one in (dense, autoencoder, lstm, transformer, unet)}


def main() -> None:
    """Print a row for each model that is named, or of all."""
    if sys.argv[1:2] == ["train"]:
        train(sys.argv[2], int(sys.argv[3]))
        return
    print_row("", "batch", "line", "trial", "real MB", "line/real", "trial/real")
    for name in sys.argv[1:] or MODELS:
        show(name)


def print_row(title: str, *values: object) -> None:
    """Print one row."""
    print(f"{title:<24}" + "".join(f"{value:>11}" for value in values), flush=True)


def show(name: str) -> None:
    """Plan a model, train it at both batches, and print a row for each."""
    began = time.monotonic()
    plan = planned(name)
    seconds = time.monotonic() - began
    real = trained(name, plan["batch_size"])
    line, trial = plan["predicted_ram_bytes"], plan["ram_peak_bytes"]
    row(name, plan["batch_size"], line, trial, real)
    largest = plan["largest_batch_size"]
    by_batch = {one["batch_size"]: one for one in plan["trials"]}
    real = trained(name, largest)
    found = by_batch[largest]
    line = found["predicted_ram_bytes"]
    row(f"  largest in {BUDGET}", largest, line, found["ram_peak_bytes"], real)
    is_within = real + SUPERVISOR_BYTES <= bytes_from_size(BUDGET)
    within = "within" if is_within else "BEYOND"
    tries = len(plan["trials"])
    print(
        f"  {tries} trials, {seconds:.0f} s; {plan['reason']}; the training: {within}"
    )


def row(title: str, batch: int, line: int | None, trial: int | None, real: int) -> None:
    """Print what was predicted, tried and taken."""
    known = [f"{one / MB:.0f}" if one else "-" for one in (line, trial, real)]
    ratios = [f"{one / real:.3f}" if one else "-" for one in (line, trial)]
    print_row(title, batch, *known, *ratios)


def planned(name: str) -> dict:
    """Return the plan of a model."""
    words = ["--model", f"{__file__}:{name}", "--batch-size", str(BATCHES[name])]
    words += ["--ram-budget", BUDGET, "--device", "cpu", "--json"]
    line = [sys.executable, "-m", "lowmem", "plan", *words]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def trained(name: str, batch_size: int) -> int:
    """Train a model in a process of its own, and return the kernel's peak."""
    line = [sys.executable, __file__, "train", name, str(batch_size)]
    done = subprocess.run(
        line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    )
    return int(done.stdout.split()[-1])


def train(name: str, batch_size: int) -> None:
    """Train by plain Keras, and print the kernel's peak less the pages of files."""
    import keras
    import numpy as np

    model = MODELS[name]()
    source, target = model.inputs[0], model.outputs[0]
    is_sparse = "parse" in f"{model.loss}{type(model.loss)}"

    class Fresh(keras.utils.PyDataset):
        def __len__(self) -> int:
            return STEPS

        def __getitem__(self, index: int) -> tuple[object, object]:
            draw = np.random.default_rng(index)

            def rows(shape: tuple, dtype: str) -> object:
                if "int" in dtype:
                    return draw.integers(0, 10, (batch_size, *shape), dtype="int32")
                return draw.random((batch_size, *shape), dtype="float32")

            shape = target.shape[1:-1] if is_sparse else target.shape[1:]
            return rows(source.shape[1:], source.dtype), rows(
                shape, "int32" if is_sparse else "float32"
            )

    model.fit(Fresh(), epochs=1, verbose=0)
    status = Path("/proc/self/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status)
    mark, files = (int(fields[key].split()[0]) for key in ("VmHWM", "RssFile"))
    print((mark - files) * 1024)


if __name__ == "__main__":
    main()

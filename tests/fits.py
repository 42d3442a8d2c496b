"""Trainings by `fit` of the kinds that people have, and what plain Keras makes of them.

`Kind` describes one; `by_keras` trains it on batches whose order is written out by hand,
`by_lowmem` by `lowmem.fit`, cut after as many steps as are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import layers

import lowmem
from lowmem.stores.epoch_order import epoch_order

N_ROWS, BATCH, SEED, EPOCHS = 22, 4, 3, 3
STEPS = -(-N_ROWS // BATCH)
RNG = np.random.default_rng(1)
X = RNG.normal(size=(N_ROWS, 6)).astype("float32")
LABELS = RNG.integers(0, 3, size=N_ROWS)
TARGETS = RNG.normal(size=(N_ROWS, 1))  # float64, as NumPy gives them
WEIGHTS = RNG.uniform(0.1, 2.0, size=N_ROWS)
HELD_OUT = (RNG.normal(size=(7, 6)).astype("float32"), RNG.integers(0, 3, size=7))
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def classifier(optimizer: Any = "adam", **compiled: Any) -> keras.Model:
    """Return a model that forgets all that can be forgotten."""
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.GaussianNoise(0.1),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(3),
        ]
    )
    model.compile(optimizer, CROSS_ENTROPY, **{"metrics": ["accuracy"], **compiled})
    return model


def forked() -> keras.Model:
    """Return a model of two inputs and two outputs."""
    first, second = keras.Input((6,), name="first"), keras.Input((1,), name="second")
    x = layers.Dropout(0.2)(layers.Concatenate()([first, second]))
    kind = layers.Dense(3, name="kind")(x)
    value = layers.Dense(1, name="value")(x)
    model = keras.Model([first, second], {"kind": kind, "value": value})
    model.compile(
        "rmsprop",
        loss={"kind": CROSS_ENTROPY, "value": "mse"},
        loss_weights={"kind": 1.0, "value": 0.5},
        metrics={"kind": ["accuracy"], "value": ["mae"]},
    )
    return model


class Drawing(layers.Layer):
    """A layer with a generator of its own, and a state."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator(7)

    def build(self, _shape: Any) -> None:
        self.total = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x: Any, training: Any = None) -> Any:
        if not training:
            return x
        drawn = keras.random.uniform(keras.ops.shape(x), seed=self.seed)
        self.total.assign_add(keras.ops.mean(drawn))
        return x * drawn


class Subclassed(keras.Model):
    """A model that is built at its first call, with a loss of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.drawing = layers.Dense(5), Drawing()
        # It draws whenever it is called, also where the model is only built.
        self.always = layers.Dropout(0.1, seed=5)
        self.last = layers.Dense(3)
        self.seen = keras.metrics.Mean(name="seen")

    def call(self, x: Any, training: Any = None) -> Any:
        x = self.drawing(self.always(self.first(x), training=True), training=training)
        return self.last(x)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: Any = None,
    ) -> Any:
        self.seen.update_state(keras.ops.mean(y_pred))
        return super().compute_loss(x, y, y_pred, sample_weight)


def subclassed() -> keras.Model:
    model = Subclassed()
    model.compile("sgd", CROSS_ENTROPY, metrics=["accuracy"])
    return model


def half() -> keras.Model:
    """Return a model of half precision, with a loss scale."""
    keras.config.set_dtype_policy("mixed_float16")
    try:
        return classifier(keras.optimizers.Adam(1e-2))
    finally:
        keras.config.set_dtype_policy("float32")


class Counting(keras.callbacks.Callback):
    """A callback of one's own whose attributes are its state: it sets the rate."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append(logs["loss"])
        if len(self.losses) % 5 == 0:
            self.model.optimizer.learning_rate = 0.01 / len(self.losses)


class Telling(keras.callbacks.Callback):
    """A callback of one's own that says what its state is."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = iter("an attribute that cannot be kept")
        self.epochs = np.zeros(0)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.epochs = np.append(self.epochs, epoch)

    def get_state(self) -> Any:
        return {"epochs": self.epochs}

    def set_state(self, state: Any) -> None:
        self.epochs = state["epochs"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One training.

    Attributes
    ----------
    more
        Arguments of `fit` that are the same for both.
    steps
        Batches in an epoch.
    """

    build: Callable[[], keras.Model]
    x: Any = field(default_factory=lambda: X)
    y: Any = field(default_factory=lambda: LABELS)
    sample_weight: Any = None
    callbacks: Callable[[], list[Any]] = list
    more: dict[str, Any] = field(default_factory=dict)
    steps: int = STEPS
    is_shuffled: bool = True


def schedules() -> list[Any]:
    return [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9**epoch),
        keras.callbacks.EarlyStopping(
            "loss", patience=1, min_delta=10.0, restore_best_weights=True
        ),
        keras.callbacks.ReduceLROnPlateau("val_loss", patience=1, factor=0.5),
        Counting(),
        Telling(),
    ]


VALIDATED = {"validation_data": HELD_OUT, "validation_batch_size": 3}
KINDS = {
    "labels": Kind(build=classifier),
    "in their order": Kind(build=classifier, is_shuffled=False),
    "inputs and outputs": Kind(
        build=forked, x=(X, TARGETS), y={"kind": LABELS, "value": TARGETS}
    ),
    "sample weights": Kind(
        build=lambda: classifier("adam", weighted_metrics=["accuracy"]),
        sample_weight=WEIGHTS,
    ),
    "class weights": Kind(
        build=classifier, more={"class_weight": {0: 1.0, 1: 3.0, 2: 0.5}}
    ),
    "averages": Kind(
        build=lambda: classifier(
            keras.optimizers.Adam(use_ema=True, ema_overwrite_frequency=5)
        )
    ),
    "accumulation": Kind(
        build=lambda: classifier(keras.optimizers.SGD(gradient_accumulation_steps=4))
    ),
    "half precision": Kind(build=half),
    "steps per epoch": Kind(build=classifier, steps=4),
    "callbacks": Kind(build=classifier, callbacks=schedules, more=VALIDATED),
    "averages swapped": Kind(
        build=lambda: classifier(keras.optimizers.Adam(use_ema=True)),
        callbacks=lambda: [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)],
        more=VALIDATED,
    ),
    "several at a time": Kind(
        build=lambda: classifier("adam", steps_per_execution=2), steps=STEPS
    ),
    "built late": Kind(build=subclassed, more=VALIDATED),
}


class Ordered(keras.utils.PyDataset):
    """Batches of the same rows in the same order, written out by hand."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind, self.epoch = kind, 0

    def __len__(self) -> int:
        return self.kind.steps

    def __getitem__(self, index: int) -> Any:
        epoch, index = divmod(self.epoch * self.kind.steps + index, STEPS)
        rows = np.arange(N_ROWS)
        if self.kind.is_shuffled:
            rows = epoch_order(n_rows=N_ROWS, seed=SEED, epoch=epoch)
        rows = rows[index * BATCH : (index + 1) * BATCH]

        def cut(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: cut(one) for key, one in value.items()}
            if isinstance(value, tuple):
                return tuple(map(cut, value))
            # As `fit` does it to arrays.
            wanted = "float32" if value.dtype.kind == "f" else value.dtype
            return value[rows].astype(wanted)

        parts = (self.kind.x, self.kind.y, self.kind.sample_weight)
        return tuple(cut(part) for part in parts if part is not None)


class Turning(keras.callbacks.Callback):
    """Tells the data which epoch it is."""

    def __init__(self, data: Ordered) -> None:
        super().__init__()
        self.data = data

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.data.epoch = epoch


class CutError(Exception):
    """The end of a process, as far as a test needs one."""


class Cut(keras.callbacks.Callback):
    """Ends a training after so many steps, before they can be committed."""

    def __init__(self, after: int | None) -> None:
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.left is not None:
            self.left -= 1
            if not self.left:
                raise CutError

    def get_state(self) -> Any:
        return None

    def set_state(self, state: Any) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a training ended with."""

    bits: list[bytes]
    history: dict[str, list[float]]
    epochs: list[int]
    callbacks: list[Any]


def _trained(model: keras.Model, history: Any, callbacks: list[Any]) -> Trained:
    variables = [*model.variables, *model.optimizer.variables]
    return Trained(
        bits=[keras.ops.convert_to_numpy(one.value).tobytes() for one in variables],
        history=history.history,
        epochs=history.epoch,
        callbacks=callbacks,
    )


def by_keras(kind: Kind) -> Trained:
    """Train by Keras alone."""
    keras.utils.set_random_seed(SEED)
    model, data, callbacks = kind.build(), Ordered(kind), kind.callbacks()
    history = model.fit(
        data, epochs=EPOCHS, shuffle=False, verbose=0,
        callbacks=[Turning(data), *callbacks], **kind.more,
    )  # fmt: skip
    return _trained(model, history, callbacks)


def by_lowmem(
    kind: Kind, workspace: Any, *, cuts: tuple[int, ...] = (), every_steps: int = 2
) -> Trained:
    """Train by `lowmem.fit`, in one process more than there are ``cuts``."""
    for seed, after in enumerate((*cuts, None), SEED):
        # Another seed after a cut: what is not put back shows.
        keras.utils.set_random_seed(seed)
        model, callbacks = kind.build(), kind.callbacks()
        more = dict(kind.more)
        if kind.steps != STEPS:
            more["steps_per_epoch"] = kind.steps
        try:
            history = lowmem.fit(
                model, kind.x, kind.y, sample_weight=kind.sample_weight, epochs=EPOCHS,
                batch_size=BATCH, workspace=workspace, every_steps=every_steps,
                seed=SEED, shuffle=kind.is_shuffled, verbose=0,
                callbacks=[*callbacks, Cut(after)], **more,
            )  # fmt: skip
        except CutError:
            continue
    return _trained(model, history, callbacks)

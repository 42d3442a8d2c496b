"""One optimiser step on one batch, in one piece or in accumulated micro-batches.

The batch of the optimiser is part of the recipe; what fits into memory at once is not.
So a batch may be cut into parts whose gradients are gathered, each part's loss weighted
by its share of the batch: the step is that of the whole batch, a smaller last batch of
an epoch too. Of a model of the user's own `divisible_steps` finds out whether that is
so. Batch normalisation and dropout see the part.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.stores.images import PIXEL_MAX
from lowmem.training.accumulating import InParts
from lowmem.training.keras_private import flattened_layers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Logs = dict[str, float]


def set_accumulation(model: keras.Model, *, batch_size: int, micro_batch: int) -> None:
    """Let the model take batches in parts of ``micro_batch``, whatever its optimiser is.

    One that accumulates by its own design goes on to do so: what it sees is batches.
    """
    if micro_batch < batch_size and not isinstance(model.optimizer, InParts):
        model.optimizer = InParts(model.optimizer)


def own_optimizer(model: keras.Model) -> keras.optimizers.Optimizer:
    """Return the optimiser that the model was compiled with."""
    optimizer = model.optimizer
    return optimizer.inner if isinstance(optimizer, InParts) else optimizer


def sees_the_batch(model: keras.Model) -> list[str]:
    """Return the kinds of layers whose effect depends on what shares a micro-batch."""
    kinds = {
        type(layer).__name__
        for layer in flattened_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
        or any(isinstance(v, keras.random.SeedGenerator) for v in vars(layer).values())
    }
    return sorted(kinds)


def part_sizes(n_rows: int, steps: int) -> list[int]:
    """Return the sizes of ``steps`` parts of a batch, as equal as can be.

    Examples
    --------
    >>> part_sizes(10, 4), part_sizes(2, 3)
    ([3, 3, 2, 2], [1, 1, 0])
    """
    size, longer = divmod(n_rows, steps)
    return [size + 1] * longer + [size] * (steps - longer)


class Stepper:
    """Trains and tests a compiled model on batches of bytes.

    Parameters
    ----------
    batch_size
        Rows in one optimiser step; a smaller batch has as many parts, or one a row.
    micro_batch
        Most rows in one part, and in one test step.
    takes_bytes
        Whether targets are given as bytes too, or as float32 in 0..1, as a user's own
        loss expects them.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        batch_size: int,
        micro_batch: int,
        takes_bytes: bool,
    ) -> None:
        self._model = model
        self._micro_batch = micro_batch
        self._takes_bytes = takes_bytes
        self._n_parts = -(-batch_size // micro_batch)
        _give_pairs(model)
        self._step = model.train_step
        # Compiled steps, of parts before the last and of the last.
        self._compiled: dict[bool, Any] = {False: None, True: None}

    def train(self, x: NDArray[Any], noise: NDArray[Any] | None = None) -> Logs:
        """Do one optimiser step and return the metrics of the epoch so far.

        Parameters
        ----------
        x : shape (batch, height, width, channels)
            uint8.
        noise : shape (batch, k)
            Of a model that takes some beside the images.
        """
        if self._n_parts == 1:
            with _running_metrics(self._model):
                return _plain(self._call(x, noise))
        logs: Logs = {}
        sizes = [size for size in part_sizes(len(x), self._n_parts) if size]
        start = 0
        with _running_metrics(self._model):
            for number, size in enumerate(sizes, 1):
                self._take_part(weight=size / len(x), is_last=number == len(sizes))
                part = slice(start, start + size)
                logs = self._call(x[part], None if noise is None else noise[part])
                start += size
                self._compiled[number == len(sizes)] = self._model.train_function
        return _plain(logs)

    def gather(self, x: NDArray[Any], *, weight: float) -> None:
        """Add the gradient of a part to what is gathered, without a step."""
        with _running_metrics(self._model):
            optimizer = self._model.optimizer
            optimizer.part_weight.assign(weight)
            optimizer.is_last = False
            self._call(x)

    def _take_part(self, *, weight: float, is_last: bool) -> None:
        optimizer = self._model.optimizer
        optimizer.part_weight.assign(weight)
        optimizer.is_last = is_last
        if self._compiled[is_last] is None:
            # Another function, or JAX takes what it compiled for the other kind of part.
            object.__setattr__(self._model, "train_step", _another(self._step))
        # None lets Keras compile one.
        self._model.train_function = self._compiled[is_last]

    def _call(self, part: NDArray[Any], noise: NDArray[Any] | None = None) -> Logs:
        logs: Logs = self._model.train_on_batch(
            _inputs(part, noise), self.targets(part), return_dict=True
        )
        return logs

    def test(self, x: NDArray[Any], noise: NDArray[Any] | None = None) -> Logs:
        """Add a batch to the validation metrics and return them so far."""
        logs: Logs = {}
        with _running_metrics(self._model):
            for start in range(0, len(x), self._micro_batch):
                at = slice(start, start + self._micro_batch)
                part, beside = x[at], None if noise is None else noise[at]
                logs = self._model.test_on_batch(
                    _inputs(part, beside), self.targets(part), return_dict=True
                )
        return _plain(logs)

    def targets(self, part: NDArray[Any]) -> NDArray[Any]:
        """Return what the model is to make of a part, as its loss expects it."""
        return part if self._takes_bytes else part.astype(np.float32) / PIXEL_MAX


def _inputs(part: NDArray[Any], noise: NDArray[Any] | None) -> Any:  # noqa: ANN401
    return part if noise is None else [part, noise]


def _give_pairs(model: keras.Model) -> None:
    """Let steps of the user's own have ``(x, y)``, as `fit` gives them of a data set.

    `train_on_batch` and `test_on_batch` give ``(x, y, None)``.
    """
    for name in ("train_step", "test_step"):
        step = getattr(model, name)
        if getattr(type(model), name) is not getattr(keras.Model, name):
            object.__setattr__(model, name, _with_pairs(step))


def _another(step: Callable[..., Any]) -> Callable[..., Any]:
    # Equal to itself alone; a bound method is equal to the same one, got again.
    return partial(step)


def _with_pairs(step: Callable[..., Any]) -> Callable[..., Any]:
    # JAX gives the state of the training before the data.
    return lambda *words: step(*words[:-1], words[-1][:2])


@contextmanager
def _running_metrics(model: keras.Model) -> Iterator[None]:
    """Let metrics run on from batch to batch, as they do in `fit`.

    `train_on_batch` and `test_on_batch` reset them first; there is no option.
    """
    object.__setattr__(model, "reset_metrics", lambda: None)
    try:
        yield
    finally:
        object.__delattr__(model, "reset_metrics")


def _plain(logs: Logs) -> Logs:
    return {name: float(value) for name, value in logs.items()}

"""One optimiser step on one batch, in one piece or in accumulated micro-batches.

The batch of the optimiser is part of the recipe; what fits into memory at once is not.
So a batch may be cut into k parts whose gradients Keras' optimiser accumulates. It
divides their sum by k, whatever the parts' sizes, so each part is weighted by
k x part / batch: the step is that of the whole batch, and a smaller last batch of an
epoch keeps its right weight too. Batch normalisation and dropout see the part.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.stores.images import PIXEL_MAX
from lowmem.training.keras_private import flattened_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Logs = dict[str, float]


def accumulation_steps(model: keras.Model) -> int:
    """Return how many calls of the optimiser make one step."""
    return int(getattr(model.optimizer, "gradient_accumulation_steps", None) or 1)


def set_accumulation(model: keras.Model, *, batch_size: int, micro_batch: int) -> None:
    """Make the optimiser gather the gradients of a batch from parts of ``micro_batch``.

    A model whose optimiser accumulates by its own design, or scales its loss, is left
    as it is: its batch stays whole.
    """
    steps = -(-batch_size // micro_batch)
    is_scaling = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    if steps > 1 and accumulation_steps(model) == 1 and not is_scaling:
        model.optimizer.gradient_accumulation_steps = steps


def sees_the_batch(model: keras.Model) -> list[str]:
    """Return the kinds of layers whose effect depends on what shares a micro-batch."""
    kinds = {
        type(layer).__name__
        for layer in flattened_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
        or getattr(layer, "seed_generator", None) is not None
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


_STANDARD_STEP = keras.Model.train_step


class Stepper:
    """Trains and tests a compiled model on batches of bytes.

    Parameters
    ----------
    micro_batch
        Rows in one test step.
    takes_bytes
        Whether targets are given as bytes too, or as float32 in 0..1, as a user's own
        loss expects them.
    """

    def __init__(
        self, model: keras.Model, *, micro_batch: int, takes_bytes: bool
    ) -> None:
        self._model = model
        self._micro_batch = micro_batch
        self._takes_bytes = takes_bytes
        self._steps = accumulation_steps(model)

    def train(self, x: NDArray[Any]) -> Logs:
        """Do one optimiser step and return the metrics of the epoch so far.

        Parameters
        ----------
        x : shape (batch, height, width, channels)
            uint8.
        """
        if self._steps == 1:
            with _running_metrics(self._model):
                return _plain(self._call(x, None))
        logs: Logs = {}
        start = 0
        with _running_metrics(self._model):
            for size in part_sizes(len(x), self._steps):
                # A part without rows still counts as a call: one row of no weight.
                part = x[start : start + size] if size else x[:1]
                start += size
                weight = self._steps * size / len(x)
                with _unweighted_loss(self._model, weight=weight, n_rows=size):
                    logs = self._call(part, np.full(len(part), weight, np.float32))
        return _plain(logs | self._model.get_metrics_result())

    def _call(self, part: NDArray[Any], weights: NDArray[Any] | None) -> Logs:
        logs: Logs = self._model.train_on_batch(
            part, self._targets(part), weights, return_dict=True
        )
        return logs

    def test(self, x: NDArray[Any]) -> Logs:
        """Add a batch to the validation metrics and return them so far."""
        logs: Logs = {}
        with _running_metrics(self._model):
            for start in range(0, len(x), self._micro_batch):
                part = x[start : start + self._micro_batch]
                logs = self._model.test_on_batch(
                    part, self._targets(part), return_dict=True
                )
        return _plain(logs)

    def _targets(self, part: NDArray[Any]) -> NDArray[Any]:
        return part if self._takes_bytes else part.astype(np.float32) / PIXEL_MAX


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


@contextmanager
def _unweighted_loss(
    model: keras.Model, *, weight: float, n_rows: int
) -> Iterator[None]:
    """Let the epoch's mean loss count each sample once, whatever its part's weight.

    A model with a train step of its own keeps its own account.
    """
    trackers = [m for m in model.metrics if m.name == "loss" and hasattr(m, "count")]
    if weight == 1 or not trackers or type(model).train_step is not _STANDARD_STEP:
        yield
        return
    total, count = trackers[0].total, trackers[0].count
    total_before = float(keras.ops.convert_to_tensor(total))
    count_before = float(keras.ops.convert_to_tensor(count))
    yield
    gain = float(keras.ops.convert_to_tensor(total)) - total_before
    total.assign(total_before + (gain / weight if weight else 0))
    count.assign(count_before + n_rows)


def _plain(logs: Logs) -> Logs:
    return {name: float(value) for name, value in logs.items()}

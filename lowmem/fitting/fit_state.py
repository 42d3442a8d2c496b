"""What a training goes on from, as one state of `lowmem.Checkpoint`.

Of a model only variables are kept. Those of metrics are part of it within an epoch alone:
at its beginning Keras resets them, and a process that has not begun one has not built all.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.base.errors_fit import InexactFitError
from lowmem.fitting import callback_states
from lowmem.states.variables import Variables
from lowmem.training import backend, state
from lowmem.training.keras_private import flattened_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.fitting.epoch_batches import Batches

State = dict[str, Any]
TRAINING = "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a training stands.

    Attributes
    ----------
    epoch
        The current one, from 0.
    step
        Batches of it that the optimiser has seen; less than an epoch has.
    is_stopped
        Whether a callback has ended the training.
    """

    epoch: int
    step: int = 0
    is_stopped: bool = False


def state_of(
    model: keras.Model,
    position: Position,
    *,
    callbacks: Sequence[Any],
    history: State,
    recipe: State,
    described: State,
) -> State:
    """Return everything that a training at ``position`` goes on from.

    Given to `Checkpoint.restore` the same is filled: model and generators in place.
    """
    return {
        # Known before there is a model to put anything into: `Checkpoint.entry`.
        TRAINING: {
            "position": asdict(position),
            "recipe": recipe,
            "model": described,
        },
        "environment": backend.environment(),
        "variables": Variables(_variables(model, has_metrics=position.step > 0)),
        "callbacks": callback_states.states_of(callbacks),
        "history": history,
        "random": random,
        "numpy": np.random,
        "backend": dict(backend.generator_states()),
    }


def put_back(found: State, callbacks: Sequence[Any]) -> None:
    """Put back what `Checkpoint.restore` has returned by value."""
    backend.restore_generator_states(found["backend"])
    callback_states.put_back(callbacks, found["callbacks"])


def metric_values(model: keras.Model) -> list[tuple[Any, Any]]:
    """Return each variable of the metrics with its value."""
    return [(one, state.value_of(one)) for one in model.metrics_variables]


def build(model: keras.Model, batches: Batches) -> None:
    """Build what the first step would build, as far as values depend on it.

    Raises
    ------
    InexactFitError
        If an optimiser beside the model's own is not built.
    """
    if not all(layer.built for layer in flattened_layers(model)):
        # `fit` builds without a draw: what is drawn here is not drawn.
        with state.kept_generators(model):
            model(batches[0][0])
    if model.optimizer is not None and not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    for optimizer in state.optimizers_of(model):
        if not optimizer.built:
            raise InexactFitError(
                thing=f"the optimiser {optimizer.name} of {model.name}",
                problem="has no variables yet",
                expected="every optimiser beside the model's own built, to be saved",
                todo="Call its build(variables) before fit.",
            )


def warm_up(
    model: keras.Model, batches: Batches, class_weight: dict[int, float] | None
) -> None:
    """Take one step, so that what Keras builds late is there to be filled.

    With TensorFlow alone: the others build all before they train. It changes what is put
    back after it; and it compiles the step that the training then takes.
    """
    if keras.backend.backend() != "tensorflow":
        return
    model.fit(
        batches,
        verbose=0,
        shuffle=False,
        class_weight=class_weight,
        callbacks=[_OneStep()],
    )
    model.stop_training = False


class _OneStep(keras.callbacks.Callback):
    def on_train_batch_end(self, batch: int, logs: State | None = None) -> None:  # noqa: ARG002
        self.model.stop_training = True


def _variables(model: keras.Model, *, has_metrics: bool) -> list[tuple[str, Any]]:
    return [
        (name, variable)
        for name, variable in state.training_variables(model)
        if has_metrics or not name.startswith("metrics/")
    ]

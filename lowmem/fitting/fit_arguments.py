"""What `fit` was given, as what it is to be given: parsed once, or refused by name."""

from __future__ import annotations

import operator
import os
from collections.abc import Collection
from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING, Any

import keras

from lowmem.base.errors import UsageError
from lowmem.base.errors_fit import InexactFitError
from lowmem.fitting.batch_sources import leaves, mapped, source_of
from lowmem.fitting.callback_states import names_of, refuse_callbacks
from lowmem.fitting.epoch_batches import Batches
from lowmem.training import backend

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.fitting.batch_sources import Source

# What `fit` takes where nothing is said.
_BATCH_SIZE = 32
_XLA_FLAG = "--xla_gpu_deterministic_ops=true"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A training, as it was asked for.

    Attributes
    ----------
    source
        What is trained on.
    steps
        Batches in an epoch.
    batches
        The data set that Keras gets.
    validation
        What says when is validated, and on what; None where nothing is.
    passed
        The other arguments that Keras gets as they are.
    """

    source: Source
    steps: int
    batches: Batches
    epochs: int
    initial_epoch: int
    callbacks: tuple[Any, ...]
    verbose: Any
    class_weight: Any
    validation: dict[str, Any] | None
    passed: dict[str, Any]

    def recipe(self) -> dict[str, Any]:
        """Return what must be the same for a training to go on."""
        weights = self.class_weight
        return {
            "data": self.source.described(),
            "steps_per_epoch": self.steps,
            "class_weight": {k: float(v) for k, v in weights.items()}
            if weights
            else None,
            # Its results are part of the history, and of what callbacks decide.
            "validation": self.validation,
            "callbacks": names_of(self.callbacks),
            "backend": keras.backend.backend(),
        }


def given_from(
    x: object,
    y: object = None,
    *,
    seed: int,
    epochs: int = 1,
    batch_size: int | None = None,
    verbose: Any = "auto",  # noqa: ANN401 - as Keras takes it
    callbacks: Sequence[Any] | Any = None,  # noqa: ANN401
    validation_split: float = 0.0,
    validation_data: Any = None,  # noqa: ANN401
    shuffle: Any = True,  # noqa: ANN401
    class_weight: dict[int, float] | None = None,
    sample_weight: object = None,
    initial_epoch: int = 0,
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    validation_batch_size: int | None = None,
    validation_freq: int | Collection[int] = 1,
) -> Given:
    """Return the training that these arguments of `fit` mean.

    Raises
    ------
    InexactFitError
        For what could not go on as if it had never stopped.
    UsageError
        For a size or a number of epochs that is none.
    """
    _refuse_order(shuffle)
    _refuse_places()
    epochs = _whole("epochs", epochs, least=0)
    initial_epoch = _whole("initial_epoch", initial_epoch, least=0)
    batch_size = _number("batch_size", batch_size)
    steps_per_epoch = _number("steps_per_epoch", steps_per_epoch)
    validation_steps = _number("validation_steps", validation_steps)
    validation_batch_size = _number("validation_batch_size", validation_batch_size)
    heard = _flat(callbacks)
    refuse_callbacks(heard)
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = _split(
            (x, y, sample_weight), validation_split
        )
    rows = batch_size or _BATCH_SIZE
    if batch_size is None and steps_per_epoch and not _is_data_set(x):
        rows = ceil(_n_rows(x) / steps_per_epoch)
    source = source_of(
        x, y, sample_weight, batch_size=rows, seed=seed, is_shuffled=shuffle
    )
    steps = steps_per_epoch or source.n_batches
    if not steps:
        raise InexactFitError(
            thing="x",
            problem="has no end",
            expected="steps_per_epoch with it",
            todo="Say how many batches an epoch has.",
        )
    held_out, held_out_source = _validation(validation_data, seed)
    of_validation = {
        "validation_steps": validation_steps,
        "validation_batch_size": validation_batch_size or batch_size,
        "validation_freq": validation_freq,
    }
    return Given(
        source=source,
        steps=steps,
        batches=Batches(source, steps),
        epochs=epochs,
        initial_epoch=initial_epoch,
        callbacks=heard,
        verbose=verbose,
        class_weight=class_weight,
        validation=None
        if held_out_source is None
        else {
            **of_validation,
            "validation_freq": _listed(validation_freq),
            "data": held_out_source.described(),
        },
        passed={
            "validation_data": held_out,
            **of_validation,
            "class_weight": class_weight,
        },
    )


def refuse_model(model: keras.Model) -> None:
    """Refuse a model whose training cannot be cut at a step.

    Raises
    ------
    InexactFitError
        If its steps are spread over several devices, or of a number that may change.
    """
    if keras.distribution.distribution() is not None or _n_replicas(model) > 1:
        raise InexactFitError(
            thing=f"model {model.name}",
            problem="is distributed over several devices",
            expected="a training on one device",
            todo="Train without keras.distribution and tf.distribute.",
        )
    if not isinstance(model.steps_per_execution, int):
        raise InexactFitError(
            thing=f"steps_per_execution of model {model.name}",
            problem=f"is {model.steps_per_execution!r}",
            expected="a number",
            todo="Compile with steps_per_execution=1, or another number.",
        )


def _n_replicas(model: keras.Model) -> int:
    strategy = getattr(model, "distribute_strategy", None)
    return int(getattr(strategy, "num_replicas_in_sync", 1))


def _flat(callbacks: Any) -> tuple[Any, ...]:  # noqa: ANN401
    if isinstance(callbacks, keras.callbacks.CallbackList):
        raise InexactFitError(
            thing="callbacks",
            problem="is a CallbackList",
            expected="a list of callbacks",
            todo="Give what it is made from.",
        )
    return tuple(leaves([callbacks]))


def _refuse_order(shuffle: object) -> None:
    if not isinstance(shuffle, bool):
        raise InexactFitError(
            thing=f"shuffle={shuffle!r}",
            problem="draws an order from a state that Keras keeps to itself",
            expected="True, for an order by seed and epoch, or False",
            todo="Give one of them.",
        )


def _refuse_places() -> None:
    flags = os.environ.get("XLA_FLAGS", "")
    is_jax = keras.backend.backend() == "jax"
    if is_jax and backend.has_gpu() and _XLA_FLAG not in flags:
        raise InexactFitError(
            thing="the GPU",
            problem="computes with operations that give other last digits each time",
            expected=f"{_XLA_FLAG} in XLA_FLAGS",
            todo="Set that before JAX is imported.",
        )


def _whole(name: str, value: object, *, least: int) -> int:
    """Return a whole number; NumPy's too, which are kept as Python's."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise UsageError(
            f"{name} is {value!r}, expected a whole number of at least {least}."
        )
    return number


def _number(name: str, value: object) -> int | None:
    return None if value is None else _whole(name, value, least=1)


def _listed(freq: int | Collection[int]) -> int | list[int]:
    return sorted(freq) if isinstance(freq, Collection) else freq


def _is_data_set(x: object) -> bool:
    return isinstance(x, keras.utils.PyDataset)


def _n_rows(x: object) -> int:
    return len(next(leaves(x), ()))


def _split(parts: tuple[Any, ...], share: float) -> tuple[Any, Any]:
    """Return the first rows, and the last of them for validation, as `fit` does."""
    if any(not hasattr(leaf, "__array__") for leaf in leaves(parts)):
        raise InexactFitError(
            thing="validation_split",
            problem="is given with data that are no arrays",
            expected="arrays, of which the last rows are held out",
            todo="Give validation_data.",
        )
    n_rows = _n_rows(parts)
    at = floor(n_rows * (1.0 - share))
    if at in {0, n_rows}:
        raise InexactFitError(
            thing=f"validation_split={share}",
            problem=f"leaves one side of {n_rows} rows empty",
            expected="a share that leaves rows on both",
            todo="Give another, or more data.",
        )
    kept, held_out = (
        tuple(None if part is None else mapped(part, cut) for part in parts)
        for cut in (lambda leaf: leaf[:at], lambda leaf: leaf[at:])
    )
    return kept, held_out


def _validation(data: Any, seed: int) -> tuple[Any, Source | None]:  # noqa: ANN401
    """Return validation data that are the same, in the same order, each time.

    First as Keras is given them, then as they are compared.
    """
    if data is None:
        return None, None
    if _is_data_set(data):
        source = source_of(
            data, batch_size=1, seed=seed, is_shuffled=False, name="validation_data"
        )
        if source.n_batches is None:
            raise InexactFitError(
                thing="validation_data",
                problem="has no end",
                expected="a data set with a number of batches",
                todo="Give one.",
            )
        return Batches(source, source.n_batches), source
    if not isinstance(data, tuple | list):
        data = (data,)
    x, y, weights = (*data, None, None)[:3]
    source = source_of(
        x,
        y,
        weights,
        batch_size=1,
        seed=seed,
        is_shuffled=False,
        name="validation_data",
    )
    # Keras reads arrays in their order, in batches of its own.
    return tuple(data), source

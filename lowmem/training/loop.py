"""Train a model epoch by epoch, so that it may be cut after any step.

The result is a function of model, data, recipe and seed: never of where it was cut.
Hence the order of the samples is known for each epoch, the position saved is what the
optimiser consumed (the reading thread may be ahead), and metrics within an epoch are
part of what is saved.

One more trap is closed here. TensorFlow compiles a step for each batch shape, and from
the second shape on one that fits any; which of them a batch meets would depend on where
the process began, and nothing promises that they round alike. So every process begins
with the same steps on blank images, one for each shape, and is then put into its true
state. That also builds what Keras builds late, and shows the memory peak at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.base.errors import DivergedError, ModelError
from lowmem.protocol.commit_point import CommitPoint
from lowmem.stores.read_ahead import read_ahead
from lowmem.training import backend, state
from lowmem.training.divisible_steps import refuse_indivisible
from lowmem.training.number_text import numbers_from_texts, texts_from_numbers
from lowmem.training.plateau import EarlyStopping, Plateau
from lowmem.training.steps import Stepper

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from numpy.typing import NDArray

    from lowmem.training.row_noise import RowNoise
    from lowmem.training.sequence import ZarrSequence

Row = dict[str, float]
_BEST = "best/"
_SHOWN = ("loss", "val_loss")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What is trained on, and for how long.

    Attributes
    ----------
    training, validation
        Batches of the two sides; the second may hold no sample.
    epochs
        Epochs at most.
    batch_size
        Samples in one optimiser step.
    micro_batch
        Samples that go through the model at once.
    patience
        Epochs without improvement before training ends; 0 for never.
    takes_bytes
        Whether the model's loss takes targets as bytes, see `Stepper`.
    keeps_best
        Whether the model ends with the weights of its best epoch; it does with
        ``patience`` in any case.
    plateau
        When the learning rate is reduced.
    is_doubtful
        Whether it is to be found out, before parts of a batch are trained on, that they
        make the same step: see `divisible_steps`.
    noise
        What the model takes as its second input, if it takes one.
    """

    training: ZarrSequence
    validation: ZarrSequence
    epochs: int
    batch_size: int
    micro_batch: int
    patience: int
    takes_bytes: bool
    keeps_best: bool = False
    plateau: Plateau = field(default_factory=Plateau)
    is_doubtful: bool = False
    noise: RowNoise | None = None


class Training:
    """A model being trained.

    Parameters
    ----------
    model
        Compiled, and built; `steps.set_accumulation` has been applied.
    show
        Called after each step with the samples seen since the very start, those of all
        epochs, and a note.
    """

    def __init__(
        self,
        model: keras.Model,
        plan: TrainingPlan,
        *,
        show: Callable[[int, int, str], None] = lambda *_: None,
    ) -> None:
        self._model = model
        self._plan = plan
        self._show = show
        self._stepper = Stepper(
            model,
            batch_size=plan.batch_size,
            micro_batch=plan.micro_batch,
            takes_bytes=plan.takes_bytes,
        )
        self._epoch = 0
        self._is_validating = False
        self._batch = 0
        self._logs: Row = {}
        self._training_logs: Row = {}
        self._history: list[Row] = []
        self._stopping = EarlyStopping(patience=plan.patience)
        self._plateau = plan.plateau
        self._best: list[NDArray[Any]] = []

    @property
    def history(self) -> list[Row]:
        """One row an epoch: its number from 1, then its metrics."""
        return self._history

    @property
    def stopping(self) -> EarlyStopping:
        """Which epoch was the best."""
        return self._stopping

    def run(
        self, saved: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> Generator[CommitPoint, None, None]:
        """Train to the end, offering a commit after each step.

        Parameters
        ----------
        saved, arrays
            State of the last commit; empty at first.

        Raises
        ------
        DivergedError
            If the loss is no longer finite.
        ModelError
            If the model is not the one that was being trained.
        """
        self._begin(saved, arrays)
        while self._epoch < self._plan.epochs and not self._stopping.is_over:
            if not self._is_validating:
                yield from self._train_epoch()
                self._training_logs, self._logs = self._logs, {}
                self._is_validating, self._batch = True, 0
                self._model.reset_metrics()
            yield from self._validate()
            self._end_epoch()
        # What comes now cannot be taken back: a run of more epochs goes on from here.
        yield self._point(items=0, is_due=True)
        self._verify()
        if self._best:
            for variable, value in zip(self._model.weights, self._best, strict=True):
                variable.assign(value)
            return
        # As `fit` ends: an optimiser that averages weights puts the averages in.
        self._model.optimizer.finalize_variable_values(self._model.trainable_variables)

    # --- the phases of an epoch ---------------------------------------------------

    def _train_epoch(self) -> Iterator[CommitPoint]:
        data = self._plan.training
        data.go_to(epoch=self._epoch, start_batch=self._batch)
        for x in read_ahead(data.batch, len(data)):
            self._logs = self._stepper.train(x, self._noise(len(x)))
            self._batch += 1
            if not isfinite(self._logs.get("loss", 0.0)):
                raise DivergedError(epoch=self._epoch + 1, batch=self._batch)
            seen = min(self._batch * self._plan.batch_size, data.n_samples)
            # What was held out is measured at the ends of epochs alone.
            former = self._history[-1] if self._history else {}
            self._report(seen, {**former, **self._logs})
            yield self._point(items=len(x))

    def _validate(self) -> Iterator[CommitPoint]:
        data = self._plan.validation
        data.go_to(epoch=0, start_batch=self._batch)
        for x in read_ahead(data.batch, len(data)):
            self._logs = self._stepper.test(x, self._noise(len(x)))
            self._batch += 1
            yield self._point(items=0)

    def _noise(self, n_rows: int) -> NDArray[Any] | None:
        """Return what the model takes beside the next batch."""
        noise = self._plan.noise
        if noise is None:
            return None
        if self._is_validating:
            return noise.validation(batch=self._batch, n_rows=n_rows)
        return noise.training(epoch=self._epoch, batch=self._batch, n_rows=n_rows)

    def _end_epoch(self) -> None:
        held_out = {f"val_{name}": value for name, value in self._logs.items()}
        row: Row = {"epoch": self._epoch + 1, **self._training_logs, **held_out}
        row["learning_rate"] = float(
            keras.ops.convert_to_tensor(self._model.optimizer.learning_rate)
        )
        self._history.append(row)
        self._report(self._plan.training.n_samples, row)
        self._watch(row.get("val_loss", row.get("loss", 0.0)))
        self._epoch += 1
        self._is_validating, self._batch = False, 0
        self._logs, self._training_logs = {}, {}
        self._model.reset_metrics()

    def _watch(self, loss: float) -> None:
        """Let the epoch's loss keep the weights, and reduce the learning rate."""
        plan = self._plan
        if plan.patience or plan.keeps_best:
            self._stopping = self._stopping.next_after(epoch=self._epoch + 1, loss=loss)
            if self._stopping.waited == 0:
                self._best = [
                    state.value_of(variable) for variable in self._model.weights
                ]
        self._plateau = self._plateau.next_after(loss=loss)
        if self._plateau.is_due:
            optimizer = self._model.optimizer
            rate = keras.ops.convert_to_tensor(optimizer.learning_rate)
            optimizer.learning_rate = float(rate) * plan.plateau.factor
            self._plateau = self._plateau.begin_again()

    def _report(self, seen: int, metrics: Row) -> None:
        """Show how far it is: ``seen`` samples of this epoch, and their losses."""
        plan, n_samples = self._plan, self._plan.training.n_samples
        parts = [name for name in metrics if _is_part(name)]
        losses = {name: metrics[name] for name in [*_SHOWN, *parts] if name in metrics}
        told = (f"{name} {value:.5f}" for name, value in losses.items())
        note = ", ".join([f"epoch {self._epoch + 1}/{plan.epochs}", *told])
        self._show(self._epoch * n_samples + seen, plan.epochs * n_samples, note)

    # --- what is saved ------------------------------------------------------------

    def _point(self, *, items: int, is_due: bool = False) -> CommitPoint:
        saved = {
            "epoch": self._epoch,
            "is_validating": self._is_validating,
            "batch": self._batch,
            "logs": texts_from_numbers(self._logs),
            "training_logs": texts_from_numbers(self._training_logs),
            "history": [texts_from_numbers(row) for row in self._history],
            "stopping": texts_from_numbers(asdict(self._stopping)),
            "plateau": texts_from_numbers(asdict(self._plateau)),
            "environment": backend.environment(),
            "micro_batch": self._plan.micro_batch,
            "order_version": self._plan.training.order_version,
        }
        return CommitPoint(
            items=items,
            state=saved,
            arrays=self._arrays,
            flush=self._verify,
            is_due=is_due,
        )

    def _verify(self) -> None:
        """Commit nothing that was learned from rows that may be damaged."""
        self._plan.training.verify()
        self._plan.validation.verify()

    def _arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        yield from state.capture(self._model)
        for index, value in enumerate(self._best):
            yield f"{_BEST}{index:04d}", state.storable(value)

    def _begin(
        self, saved: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> None:
        self._prepare_optimizers()
        if not saved:
            initial = dict(state.capture(self._model))
            self._check_parts()
            self._warm_up()
            # Metrics may have been built by the first step; they have been reset.
            metrics = state.metrics_of(self._model)
            state.restore(self._model, initial | metrics)
            return
        self._check_parts()
        self._warm_up()
        best = [name for name in arrays if name.startswith(_BEST)]
        state.restore(self._model, arrays)
        self._best = [
            state.stored_as(arrays[name], variable)
            for name, variable in zip(sorted(best), self._model.weights, strict=False)
        ]
        self._epoch = saved["epoch"]
        self._is_validating = saved["is_validating"]
        self._batch = saved["batch"]
        self._logs = numbers_from_texts(saved["logs"])
        self._training_logs = numbers_from_texts(saved["training_logs"])
        self._history = [numbers_from_texts(row) for row in saved["history"]]
        self._stopping = EarlyStopping(**numbers_from_texts(saved["stopping"]))
        # A checkpoint of before there was one has none.
        self._plateau = Plateau(**numbers_from_texts(saved.get("plateau", {})))
        # An epoch goes on as it was begun; before there was a second way, by the first.
        self._plan.training.order_version = saved.get("order_version", 1)

    def _prepare_optimizers(self) -> None:
        if self._plan.plateau.patience:
            _refuse_schedule(self._model)
        if not self._model.optimizer.built:
            self._model.optimizer.build(self._model.trainable_variables)
        if not all(one.built for one in state.optimizers_of(self._model)):
            raise ModelError(
                model=self._model.name,
                problem="holds an optimiser without variables",
                expected="every further optimiser built, so that it can be saved",
                todo="Call its build(variables) in the function of --model.",
            )

    def _check_parts(self) -> None:
        plan = self._plan
        if plan.is_doubtful and plan.micro_batch < plan.batch_size:
            refuse_indivisible(self._model, self._stepper)

    def _warm_up(self) -> None:
        """Compile each step for each shape, always in the same order."""
        for n_rows in _distinct_batches(self._plan.training, self._plan.batch_size):
            self._stepper.train(*self._blank(n_rows))
        for n_rows in _distinct_batches(self._plan.validation, self._plan.batch_size):
            self._stepper.test(*self._blank(n_rows))
        self._model.reset_metrics()

    def _blank(self, n_rows: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
        image_shape, noise = self._model.inputs[0].shape[1:], self._plan.noise
        beside = None if noise is None else np.zeros((n_rows, noise.size), np.float32)
        return np.zeros((n_rows, *image_shape), np.uint8), beside


def _is_part(name: str) -> bool:
    """Return whether a metric is a part of the loss, in training."""
    return name.endswith("_loss") and not name.startswith("val_")


def _refuse_schedule(model: keras.Model) -> None:
    """Refuse to reduce a learning rate that cannot be set: that of a schedule."""
    optimizer = model.optimizer
    rate = float(keras.ops.convert_to_tensor(optimizer.learning_rate))
    try:
        optimizer.learning_rate = rate
    except (TypeError, AttributeError) as error:
        raise ModelError(
            model=model.name,
            problem="has a learning rate that follows a schedule",
            expected="a fixed one, beside --reduce-lr",
            todo="Leave --reduce-lr out, or compile with a number.",
        ) from error


def _distinct_batches(data: ZarrSequence, batch_size: int) -> list[int]:
    """Return the sizes of batches that occur, the whole one first."""
    whole, rest = divmod(data.n_samples, batch_size)
    return [batch_size] * bool(whole) + [rest] * bool(rest)

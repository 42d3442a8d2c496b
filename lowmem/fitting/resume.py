"""`lowmem.ExactResume`: the callback by which `fit` goes on where a process died.

Keras drives the loop; three things are done to it.

- An epoch that goes on within has all its numbers shifted by the steps that were done.
  Where the rest of it ends, `StopIteration` ends Keras' epoch, as it does from any data.
  Its warning says that data ran out, and is all that is kept from the user.
- The caller's callbacks are called by this one, not by Keras: so none hears twice that an
  epoch begins, and a commit comes after all of them.
- It is Keras' own `History`, and so `fit` returns it, with the rows of former processes.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from lowmem.base.errors import UsageError
from lowmem.base.errors_fit import FitStoppedError, InexactFitError
from lowmem.fitting import fit_state
from lowmem.fitting.callback_holder import Holder
from lowmem.fitting.callback_states import refuse_callbacks
from lowmem.fitting.fit_arguments import Given, given_from, refuse_model
from lowmem.fitting.fit_state import Position
from lowmem.fitting.mirrored_checkpoint import MirroredCheckpoint
from lowmem.fitting.model_description import described
from lowmem.fitting.resume_checks import (
    refuse_other,
    refuse_other_model,
    refuse_other_span,
    warn_of_other_versions,
)
from lowmem.training import backend

if TYPE_CHECKING:
    from pathlib import Path

    Logs = dict[str, Any] | None

# By folder, those that hold it. A cell that was interrupted is run again, and its traceback
# keeps the former callback alive: the new one takes over.
_HOLDERS: WeakValueDictionary[str, ExactResume] = WeakValueDictionary()


class ExactResume(Holder):
    """Lets `model.fit` go on after any end of its process, at the next batch, to the bit.

    Parameters
    ----------
    folder
        Where the commits are: a new or empty folder, or one of an earlier `ExactResume`.
    every_steps
        Optimiser steps between commits; what a kill costs at most, beside a validation.
    mirror
        A second folder that gets each commit too, such as one on a mounted Drive. Where
        ``folder`` is behind, the training goes on from there.
    seed
        With the number of the epoch it fixes the order of the rows.
    time
        Seconds, or a duration such as ``"11h30m"``, after which it commits and ends.
    keep
        How many commits stay; 2 by default, and 1 within ``lowmem exec``.

    Raises
    ------
    UsageError
        If ``every_steps`` is no positive whole number.

    Notes
    -----
    Time: as for `lowmem.Checkpoint`, of the model's variables, those of its optimisers,
    and the states of callbacks. Memory: no copy of them.

    Examples
    --------
    >>> import keras, numpy as np, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> def losses(epochs):
    ...     keras.utils.set_random_seed(1)
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    ...     model.compile("adam", "mse")
    ...     resume = ExactResume(folder, every_steps=1)
    ...     x = np.arange(8, dtype="float32").reshape(4, 2)
    ...     given = resume.fit_arguments(x, x[:, :1], epochs=epochs, verbose=0)
    ...     return model.fit(**given).history["loss"]
    >>> first, both = losses(1), losses(2)
    >>> len(both), both[0] == first[0]
    (2, True)
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        every_steps: int = 100,
        mirror: Path | str | None = None,
        seed: int = 0,
        time: float | str | None = None,
        keep: int | None = None,
    ) -> None:
        super().__init__()
        if type(every_steps) is not int or every_steps < 1:
            raise UsageError(
                f"every_steps is {every_steps!r}, expected a whole number of at least 1."
            )
        self._every_steps = every_steps
        self._seed = seed
        self._commits = MirroredCheckpoint(folder, mirror, keep=keep, time=time)
        self._given: Given | None = None
        self._recipe: dict[str, Any] = {}
        self._begun_at, self._is_begun = Position(epoch=0), False
        # Of the model, as the training was begun with it.
        self._settings: dict[str, Any] = {}
        self._offset = self._at = self._step = self._epoch = 0
        # Steps since the last commit; and what is put back once Keras has touched it.
        self._since = 0
        self._metrics: list[tuple[Any, Any]] = []
        self._generators: dict[str, Any] = {}
        self._quiet: warnings.catch_warnings[None] | None = None

    def fit_arguments(
        self,
        x: Any,  # noqa: ANN401 - as Keras takes it
        y: Any = None,  # noqa: ANN401
        **of_fit: Any,  # noqa: ANN401
    ) -> dict[str, Any]:
        """Return what `fit` is to be given, from what you would give to it.

        The folder is opened, and held until `fit` returns or `close` is called.

        Parameters
        ----------
        x, y
            Arrays, structures of arrays, a `ZarrSequence`, or a data set of Keras' that
            says ``is_function_of_index``.
        of_fit
            All other arguments of `fit`, by name.

        Raises
        ------
        InexactFitError
            For what could not go on as if it had never stopped.
        CheckpointLockedError
            If another process holds the folder.

        Notes
        -----
        Operations of TensorFlow and PyTorch are deterministic from then on.

        Examples
        --------
        >>> import numpy as np, tempfile
        >>> resume = ExactResume(tempfile.mkdtemp())
        >>> given = resume.fit_arguments(np.zeros((64, 2)), np.zeros(64), epochs=3)
        >>> len(given["x"]), given["epochs"], given["initial_epoch"]
        (2, 3, 0)
        >>> resume.close()
        """
        given = given_from(x, y, seed=self._seed, **of_fit)
        backend.make_repeatable()
        try:
            self._find(given)
        except BaseException:
            self.close()
            raise
        return {
            "x": given.batches,
            "epochs": given.epochs,
            # None is left once a callback has ended the training.
            "initial_epoch": max(given.epochs, self._begun_at.epoch)
            if self._begun_at.is_stopped
            else self._begun_at.epoch,
            # It shows how far it is by one of those that are held.
            "verbose": 0,
            "callbacks": [self],
            "shuffle": False,
            **given.passed,
        }

    def close(self) -> None:
        """Let the folder go; after `fit` returned it has been.

        Examples
        --------
        >>> import tempfile
        >>> ExactResume(tempfile.mkdtemp()).close()
        """
        self._speak()
        self._commits.close()
        self._given = None

    def forget(self) -> None:
        """Delete all commits, the mirror's too: the next training begins anew.

        Examples
        --------
        >>> import tempfile
        >>> ExactResume(tempfile.mkdtemp()).forget()
        """
        self._open()
        self._commits.forget()

    # --- what Keras calls -------------------------------------------------------------

    def on_train_begin(self, logs: Logs = None) -> None:
        """Put the training into the state of the last commit, or commit its first.

        Raises
        ------
        InexactFitError
            If Keras was not given what `fit_arguments` returned.
        """
        given = self._asked()
        refuse_model(self.model)
        super().on_train_begin(logs)
        self.history: dict[str, list[Any]] = {}
        self.hold(
            given.callbacks,
            verbose=given.verbose,
            epochs=given.epochs,
            steps=given.steps,
        )
        self.pass_on("on_train_begin", logs)
        refuse_callbacks(given.callbacks)
        fit_state.build(self.model, given.batches)
        self._epoch, self._step = self._begun_at.epoch, self._begun_at.step
        self._compare_model()
        if self._is_begun:
            self._restore(given)
        else:
            self._commit(self._begun_at)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Begin an epoch, or go on within."""
        given = self._asked()
        is_going_on = epoch == self._begun_at.epoch and self._begun_at.step > 0
        self._offset = self._begun_at.step if is_going_on else 0
        self._epoch, self._step = epoch, self._offset
        given.batches.begin(epoch, self._offset)
        if not is_going_on:
            self.pass_on("on_epoch_begin", epoch, logs)
            return
        for variable, value in self._metrics:
            variable.assign(value)
        self._metrics = []
        self._be_quiet()
        self.show_epoch(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Pass on the number of the step in the whole epoch; end Keras' after the last."""
        self._at = batch + self._offset
        if self._at >= self._asked().steps:
            raise StopIteration
        if self._generators:
            # PyTorch's loader draws when it begins to read, and an epoch reads once.
            backend.restore_generator_states(self._generators)
            self._generators = {}
        self.pass_on("on_train_batch_begin", self._at, logs)

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Commit if that is due, but not at the end of an epoch: that has its own."""
        self.pass_on("on_train_batch_end", batch + self._offset, logs)
        steps = self._asked().steps
        # Several at a time with `steps_per_execution`, and fewer at the end.
        self._step = min(self._at + self._steps_per_execution, steps)
        self._since += self._step - self._at
        if self._offset and self._step == steps:
            # Keras begins to read once more after a whole epoch; not where data end.
            backend.draw_as_loader()
        # Nor where a callback has just ended the training: it would go on from there.
        if self._step == steps or self._model.stop_training:
            return
        is_asked = self._commits.stopping
        if is_asked or self._since >= self._every_steps:
            self._commit(Position(epoch=self._epoch, step=self._step))
        if is_asked:
            self._end_early()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Commit if that is due, and at the end of the training."""
        self._speak()
        self.pass_on("on_epoch_end", epoch, logs)
        is_stopped = bool(self.model.stop_training)
        is_last = is_stopped or epoch + 1 >= self._asked().epochs
        is_asked = self._commits.stopping and not is_last
        self._epoch, self._step = epoch + 1, 0
        if is_last or is_asked or self._since >= self._every_steps:
            self._commit(Position(epoch=epoch + 1, is_stopped=is_stopped))
        if is_asked:
            self._end_early()

    def on_train_end(self, logs: Logs = None) -> None:
        """Let the callbacks end, and the folder go."""
        self.pass_on("on_train_end", logs)
        self.close()

    def on_test_begin(self, logs: Logs = None) -> None:  # type: ignore[explicit-override]
        """Pass it on: the epoch has ended."""
        self._speak()
        super().on_test_begin(logs)

    # --- the state --------------------------------------------------------------------

    def _state(self, position: Position) -> dict[str, Any]:
        return fit_state.state_of(
            self.model,
            position,
            callbacks=self._asked().callbacks,
            history={"epoch": self.epoch, "rows": self.history},
            recipe=self._recipe,
            described=self._settings,
        )

    def _commit(self, position: Position) -> None:
        # Nothing that was learned from rows that may be damaged.
        self._asked().source.verify()
        self._commits.commit(self._state(position))
        self._since = 0

    def _restore(self, given: Given) -> None:
        if self._begun_at.step:
            fit_state.warm_up(self.model, given.batches, given.class_weight)
            self.model.history = self
        found = self._commits.restore(self._state(self._begun_at))
        fit_state.put_back(found, given.callbacks)
        self.epoch = found["history"]["epoch"]
        self.history = found["history"]["rows"]
        if self._begun_at.step:
            self._metrics = fit_state.metric_values(self.model)
            self._generators = found["backend"]
        warn_of_other_versions(found["environment"])

    def _compare_model(self) -> None:
        """Refuse another model than the training was begun with."""
        here = described(self.model)
        if not self._is_begun:
            self._settings = here
        elif self._commits.entry("environment") == backend.environment():
            # Other releases of Keras tell of other settings, and are warned of.
            refuse_other_model(self._settings, here, folder=self._commits.folder)

    def _find(self, given: Given) -> None:
        """Open the folder, and find where the training stands."""
        self._open()
        found = self._commits.entry(fit_state.TRAINING)
        self._begun_at = Position(epoch=given.initial_epoch)
        if found:
            # An epoch goes on in the order of the version that began it.
            order_version = found["recipe"]["data"]["order_version"]
            given.source.order_version = order_version
            self._begun_at = Position(**found["position"])
            self._settings = found["model"]
        self._recipe, self._is_begun = given.recipe(), bool(found)
        if found:
            folder = self._commits.folder
            refuse_other(found["recipe"], self._recipe, folder=folder)
            refuse_other_span(given, self._begun_at, folder=folder)
        self._given = given

    def _open(self) -> None:
        key = os.path.realpath(self._commits.folder)
        former = _HOLDERS.get(key)
        if former is not None:
            former.close()
        self._commits.open()
        _HOLDERS[key] = self

    def _end_early(self) -> None:
        self.close()
        raise FitStoppedError(epoch=self._epoch + 1, step=self._step)

    # --- the callbacks that are held --------------------------------------------------

    def _asked(self) -> Given:
        if self._given is None:
            raise InexactFitError(
                thing="ExactResume",
                problem="was given to fit by itself",
                expected="what its fit_arguments() returns",
                todo="Write model.fit(**resume.fit_arguments(x, y, epochs=...)), with all "
                "that you give to fit.",
            )
        return self._given

    @property
    def _steps_per_execution(self) -> int:
        # Not by `model`: JAX would put all its variables back at every step.
        return int(self._model.steps_per_execution)

    def _be_quiet(self) -> None:
        self._quiet = warnings.catch_warnings()
        self._quiet.__enter__()
        warnings.filterwarnings("ignore", message="Your input ran out of data")

    def _speak(self) -> None:
        if self._quiet is not None:
            self._quiet.__exit__(None, None, None)
            self._quiet = None

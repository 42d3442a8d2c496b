"""Callbacks that are called by another callback, and not by Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Logs = dict[str, Any] | None


class Holder(keras.callbacks.History):
    """A history that passes on what Keras calls to the callbacks it holds.

    They are in a list of Keras' own, in its order: the caller's, then what records the
    rows, then the progress bar.
    """

    def __init__(self) -> None:
        super().__init__()
        self._inner: keras.callbacks.CallbackList | None = None

    def hold(
        self,
        callbacks: Iterable[Any],
        *,
        verbose: Any,  # noqa: ANN401 - as Keras takes it
        epochs: int,
        steps: int,
    ) -> None:
        """Take callbacks, and let them know the model."""
        self._inner = keras.callbacks.CallbackList(
            [*callbacks, _Recorder(super().on_epoch_end)],
            add_progbar=verbose != 0,
            model=self.model,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )
        # Whoever was the model's before: `fit` returns this one.
        self.model.history = self

    def pass_on(self, name: str, *words: Any) -> None:  # noqa: ANN401 - as Keras has them
        """Call a method of all that are held."""
        if self._inner is not None:
            getattr(self._inner, name)(*words)

    def show_epoch(self, epoch: int, logs: Logs) -> None:
        """Let the progress bar alone begin an epoch."""
        for callback in self._inner.callbacks if self._inner is not None else ():
            if isinstance(callback, keras.callbacks.ProgbarLogger):
                callback.on_epoch_begin(epoch, logs)

    def on_test_begin(self, logs: Logs = None) -> None:
        """Pass it on."""
        self.pass_on("on_test_begin", logs)

    def on_test_batch_begin(self, batch: int, logs: Logs = None) -> None:
        """Pass it on."""
        self.pass_on("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Pass it on."""
        self.pass_on("on_test_batch_end", batch, logs)

    def on_test_end(self, logs: Logs = None) -> None:
        """Pass it on."""
        self.pass_on("on_test_end", logs)


class _Recorder(keras.callbacks.Callback):
    """Records an epoch after the callbacks that add to its row."""

    def __init__(self, record: Callable[[int, Logs], None]) -> None:
        super().__init__()
        self._record = record

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._record(epoch, logs)

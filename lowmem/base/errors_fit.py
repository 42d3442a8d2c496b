"""Errors of a training by Keras' own `fit`; see `lowmem.base.errors`."""

from __future__ import annotations

from lowmem.base.errors import EXIT_STOPPED, LowmemError, UsageError


class InexactFitError(UsageError):
    """Raised before the first step, for what could not go on as if never stopped.

    Parameters
    ----------
    thing
        What it is about: an argument of `fit`, a callback.
    """

    def __init__(self, *, thing: str, problem: str, expected: str, todo: str) -> None:
        self.thing = thing
        super().__init__(f"{thing} {problem}, expected {expected}. {todo}")


class FitStoppedError(LowmemError, SystemExit):
    """Raised within `fit` after a commit, when a signal or the time asked it to end.

    It is a `SystemExit`: a script that does not catch it ends with 75.
    """

    exit_code = EXIT_STOPPED

    def __init__(self, *, epoch: int, step: int) -> None:
        self._text = (
            "the training was asked to end, and is committed up to step "
            f"{step} of epoch {epoch}. Run the same again: it goes on there."
        )
        super().__init__(self._text)
        # What the interpreter ends with.
        self.code = EXIT_STOPPED

    def __str__(self) -> str:  # type: ignore[explicit-override]
        """Return the text; `SystemExit` would show its code."""
        return self._text

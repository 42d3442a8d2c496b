"""Errors of the framework that Keras computes with; see `lowmem.base.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import (
    EXIT_BUDGET,
    EXIT_UNAVAILABLE,
    LowmemError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class UnknownBackendError(UsageError):
    """Raised when ``KERAS_BACKEND`` names none that lowmem can train with.

    Parameters
    ----------
    name
        What it names.
    is_predicting_only
        Whether Keras knows it, but cannot train with it.
    known
        Those that can be meant.
    """

    def __init__(
        self, *, name: str, is_predicting_only: bool, known: Sequence[str]
    ) -> None:
        self.name = name
        what = ", with which Keras cannot train" if is_predicting_only else ""
        super().__init__(
            f"KERAS_BACKEND is {name!r}{what}, expected {_or(known)}. Set it to one of "
            "them, or unset it to take what is installed."
        )


class MissingBackendError(LowmemError, ImportError):
    """Raised when the framework that Keras is to compute with is not installed.

    Parameters
    ----------
    name
        The one that ``KERAS_BACKEND`` names; None where none at all is installed.
    known
        Those that would do, the usual one first.
    """

    exit_code = EXIT_UNAVAILABLE

    def __init__(self, *, name: str | None, known: Sequence[str]) -> None:
        self.name = name
        found = f"{name} is not installed, expected it since KERAS_BACKEND names it"
        if name is None:
            found = f"no backend of Keras is installed, expected {_or(known)}"
        super().__init__(
            f"{found}. Install it: pip install 'lowmem[{name or known[0]}]'"
        )


def _or(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


class DeviceBudgetError(LowmemError, MemoryError):
    """Raised when the budget leaves no useful memory on the device."""

    exit_code = EXIT_BUDGET

    def __init__(self, *, budget: str, needed: str) -> None:
        super().__init__(
            f"--vram-budget is {budget}, expected at least {needed}: the framework takes "
            "memory on the device beside its pool. Raise it, or use --device cpu."
        )

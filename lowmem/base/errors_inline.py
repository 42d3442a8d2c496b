"""Errors of budgets within a program, with their wording; see `errors` for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import (
    EXIT_BUDGET,
    EXIT_DATA,
    EXIT_JOB,
    EXIT_STOPPED,
    EXIT_STORAGE,
    LowmemError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class BudgetExceededError(LowmemError, MemoryError):
    """Raised in code that runs under `lowmem.budget` or `lowmem.supervised`.

    Attributes
    ----------
    where
        ``file.py:123 in function``: the line that asked for too much, or that ran when
        the budget was used up; None if unknown.
    ram_bytes
        What was in use then; None if it was not measured.
    """

    exit_code = EXIT_BUDGET

    def __init__(
        self, *, where: str | None, budget: str, cause: str, ram_bytes: int | None
    ) -> None:
        self.where = where
        self.ram_bytes = ram_bytes
        super().__init__(
            f"{where or 'an unknown line'} does not fit the RAM budget of {budget}: "
            f"{cause}. Work in smaller parts, drop what is no longer needed, or give a "
            "larger ram."
        )


class FunctionError(LowmemError, RuntimeError):
    """Raised for an exception of a function that ran under `lowmem.supervised`.

    It is an instance of the exception's own class too, where the caller has loaded that.

    Attributes
    ----------
    kind
        Name of the exception's class.
    traceback
        Its traceback, as text.
    where
        ``file.py:123 in function`` of the innermost line outside libraries.
    """

    exit_code = EXIT_JOB

    def __init__(
        self, *, kind: str, message: str, traceback: str, where: str | None
    ) -> None:
        self.kind = kind
        self.traceback = traceback
        self.where = where
        told = f"\n\nIn the supervised process:\n{traceback}" if traceback else ""
        self._text = f"{kind}: {message}{told}"
        super().__init__(self._text)

    def __str__(self) -> str:  # type: ignore[explicit-override]
        """Return the text: the exception's own class may make another of its arguments."""
        return self._text


class FunctionDiedError(LowmemError, RuntimeError):
    """Raised when the process of a supervised function ended by itself or was killed."""

    exit_code = EXIT_JOB

    def __init__(self, *, function: str, status: int, stacks: str) -> None:
        self.status = status
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        super().__init__(
            f"the process of {function} ended with {how}, expected a result. Libraries "
            "that hold threads or a GPU do not survive the fork: load them within the "
            f"function, not before it.\n{stacks}".rstrip()
        )


class ReturnValueError(LowmemError, TypeError):
    """Raised when a supervised function returns what cannot cross to its caller."""

    exit_code = EXIT_JOB

    def __init__(self, *, place: str, found: str) -> None:
        self.place = place
        self.found = found
        super().__init__(
            f"{place} is {found}, expected None, booleans, numbers, text, bytes, NumPy "
            "arrays and scalars without objects, tables that Arrow gives back the same, "
            "and lists, tuples and dictionaries of these. Return such values, or write a "
            "file and return its name."
        )


class TimeExceededError(LowmemError, TimeoutError):
    """Raised when a supervised function takes longer than it was given."""

    exit_code = EXIT_STOPPED

    def __init__(self, *, function: str, time: str, where: str | None) -> None:
        self.where = where
        # TimeoutError's own initialiser would reinterpret two arguments as errno, text.
        super().__init__(
            f"{function} was still at {where or 'an unknown line'} after the {time} that "
            "it was given, so its process was ended. Give a larger time."
        )


class RunEndedError(LowmemError, RuntimeError):
    """Raised when a command of a notebook ended with another exit code than 0.

    Attributes
    ----------
    exit_code
        The command's; negative is the number of the signal that ended it.
    said
        What it said at its end; empty where that was shown.
    """

    def __init__(self, *, command: str, status: int, said: str = "") -> None:
        self.exit_code = status
        self.said = said
        todo = (
            "Run the same again: it continues where it stopped."
            if status == EXIT_STOPPED
            else "What happened, and what to do, is said above."
        )
        how = f"signal {-status}" if status < 0 else f"exit code {status}"
        super().__init__(f"{command} ended with {how}. {said or todo}")


class DriveMissingError(LowmemError, RuntimeError):
    """Raised when the data are on a Drive that is not there."""

    exit_code = EXIT_STORAGE

    def __init__(self, *, data: str, problem: str) -> None:
        super().__init__(
            f"{data} is on Drive, and {problem}; no copy of it is on this machine. Run "
            "this cell again once Drive can be mounted, or give the absolute path of "
            "data that are on this machine."
        )


class ResultsDifferError(LowmemError, RuntimeError):
    """Raised when two workspaces were to hold the same results and do not."""

    exit_code = EXIT_DATA

    def __init__(self, *, names: Sequence[str]) -> None:
        self.names = tuple(names)
        super().__init__(
            f"{', '.join(names)} differ, expected the same bytes. Results are the same "
            "where data, options, seed, device and the versions of the libraries are: "
            "`lowmem report` tells these of both workspaces."
        )

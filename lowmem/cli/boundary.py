"""The edge of a process, where errors become one paragraph and an exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from lowmem.base.errors import EXIT_STOPPED, LowmemError
from lowmem.base.files import storage_error
from lowmem.base.standard_streams import prepare_streams
from lowmem.base.stderr import paragraph, tell
from lowmem.supervisor.stop_requests import handle_stops


class StopSignal(BaseException):
    """Raised where a signal to stop comes; once a job runs, its supervisor takes them."""

    def __init__(self, number: int, _frame: FrameType | None) -> None:
        self.name = signal.Signals(number).name
        super().__init__(self.name)


def leave_with(
    work: Callable[[], object], explain: Callable[[Exception], int] | None = None
) -> NoReturn:
    """Do the work of a process and end the process with its exit code.

    Parameters
    ----------
    work
        Returns the exit code; anything but a number counts as 0.
    explain
        Prints an error that is not lowmem's own and returns the exit code, or raises it
        again.
    """
    status: object
    prepare_streams()
    try:
        handle_stops(_raise_stop)
        status = work()
        # What a full disk refuses is said, and not left to Python's own end.
        sys.stdout.flush()
    except StopSignal as stop:
        print_paragraph(
            f"stopped by {stop.name}. What was committed is kept; the same command goes "
            "on from there."
        )
        status = EXIT_STOPPED
    except LowmemError as error:
        status = _tell(error)
    except OSError as error:
        status = _tell(storage_error(error, error.filename or "a file"))
    except Exception as error:
        if explain is None:
            raise
        status = explain(error)
    sys.exit(status if isinstance(status, int) else 0)


def _raise_stop(number: int, frame: FrameType | None) -> None:
    raise StopSignal(number, frame)


def _tell(error: LowmemError) -> int:
    """Print one paragraph, and the traceback of a job's own code; return the status."""
    traceback = getattr(error, "traceback", "")
    if traceback:
        tell(traceback)
    print_paragraph(str(error))
    return error.exit_code


def print_paragraph(text: str) -> None:
    """Print what the user is told, on stderr."""
    tell(paragraph(text))

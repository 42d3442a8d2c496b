"""The first of the command line: a signal is heard before its libraries are loaded.

Loading them takes a third of a second, and many on a cold or a network's disk.
"""

from __future__ import annotations

from typing import NoReturn

from lowmem.cli.boundary import leave_with


def run() -> NoReturn:
    """Run the command line."""
    leave_with(_load_and_run)


def _load_and_run() -> NoReturn:
    # After the handlers are in place, which is what this file is for.
    from lowmem.cli.main import run as run_command_line  # noqa: PLC0415

    run_command_line()

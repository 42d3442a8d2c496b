"""Run a program to its end, and return how it ended and what it printed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lowmem.base.child import ran

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# seconds; 2,000 cycles took 0.8.
_REPORT_S = 120.0


def run_report(workspace: Path, page: Path, *, timeout_s: float = _REPORT_S) -> bool:
    """Write the report page in a process of its own, so that this one stays small.

    Returns whether it was written: a page that was not must not end a run.
    """
    line = [sys.executable, "-m", "lowmem", "report", str(workspace)]
    return run_program([*line, "--html", str(page)], timeout_s=timeout_s) is not None


def run_module(module: str, *arguments: str) -> tuple[int, str]:
    """Run a module that would make this process large; return its status and stderr."""
    done = ran([sys.executable, "-m", module, *arguments])
    return done.returncode, done.stderr


def run_program(line: Sequence[str], *, timeout_s: float) -> str | None:
    """Return what a program prints; None if it is not there, fails, or takes longer."""
    try:
        done = ran(line, timeout_s=timeout_s)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None

"""Run a program to its end, and return how it ended and what it printed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from lowmem.base.signals import withheld

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# seconds; 2,000 cycles took 0.8.
_REPORT_S = 120


def run_report(workspace: Path, page: Path) -> bool:
    """Write the report page in a process of its own, so that this one stays small.

    Returns whether it was written: a page that was not must not end a run.
    """
    line = [sys.executable, "-m", "lowmem", "report", str(workspace)]
    try:
        done = _ran([*line, "--html", str(page)], timeout_s=_REPORT_S)
    except (subprocess.TimeoutExpired, OSError):
        return False
    return done.returncode == 0


def run_module(module: str, *arguments: str) -> tuple[int, str]:
    """Run a module that would make this process large; return its status and stderr."""
    done = _ran([sys.executable, "-m", module, *arguments])
    return done.returncode, done.stderr


def run_program(line: Sequence[str], *, timeout_s: float) -> str | None:
    """Return what a program prints; None if it is not there, fails, or takes longer."""
    try:
        done = _ran(line, timeout_s=timeout_s)
    except (subprocess.TimeoutExpired, OSError):
        return None
    return done.stdout if done.returncode == 0 else None


def _ran(
    line: Sequence[str], *, timeout_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; signals to stop do not reach it."""
    with withheld():
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
    with process:
        try:
            out, errors = process.communicate(timeout=timeout_s)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(line, process.returncode, out, errors)

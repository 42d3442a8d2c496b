"""`lowmem data stage`: copy data from a slow mount to the local disk, with a bar."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING

from tqdm import tqdm

from lowmem.base.errors_staging import StagingStoppedError
from lowmem.base.units import format_bytes
from lowmem.cli.boundary import StopSignal
from lowmem.report.columns import printable
from lowmem.staging.copying import stage

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.staging.copying import Staged


class _Bars:
    """A bar for each phase, on stderr."""

    def __init__(self, name: str) -> None:
        # tqdm's own lock loads multiprocessing: 2 MiB for processes that never are.
        tqdm.set_lock(threading.RLock())
        self._name = name
        self._phase = ""
        self._bar: tqdm[None] | None = None

    def __call__(self, phase: str, done_bytes: int, total_bytes: int) -> None:
        if self._bar is None or phase != self._phase:
            self.close()
            self._phase = phase
            # Without a terminal the bar would fill a log file with its movements.
            self._bar = tqdm(
                initial=done_bytes,
                total=total_bytes,
                desc=f"{self._name}: {phase}",
                unit="B",
                unit_scale=True,
                file=sys.stderr,
                mininterval=0.4 if sys.stderr.isatty() else 30.0,
                dynamic_ncols=True,
            )
        self._bar.update(done_bytes - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def stage_with_bars(source: Path, folder: Path) -> Staged:
    """Stage, and show how far it is.

    Raises
    ------
    StagingStoppedError
        If it is interrupted.
    """
    bars = _Bars(printable(source.absolute().name))
    try:
        return stage(source, folder, tell=bars)
    except (KeyboardInterrupt, StopSignal):
        raise StagingStoppedError(source=source) from None
    finally:
        bars.close()


def lines_from_staged(staged: Staged) -> list[str]:
    """Return what is told of a copy, beside its path."""
    lines = [f"not copied: {one}" for one in staged.left_out]
    more = staged.n_left_out - len(staged.left_out)
    if more:
        lines.append(f"... and {more:,} more that are not copied")
    files = "1 file" if staged.n_files == 1 else f"{staged.n_files:,} files"
    lines.append(
        f"{files}, {format_bytes(staged.n_bytes)}, of which "
        f"{format_bytes(staged.copied_bytes)} were copied now; "
        f"SHA-256 in {os.fspath(staged.checksums)}"
    )
    return [printable(line) for line in lines]

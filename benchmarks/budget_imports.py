"""Files that take too much as soon as they are imported, before a job begins."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from budget_groups import control_group, mark_of
from budget_peers import busy_cores
from budget_ways import IMPORTS, importing_job

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

MIB = 2**20
# Of a zip archive: its list of names, which a plan reads, is then some 300 MB in memory.
N_NAMES = 600_000


def run_imports(options: argparse.Namespace, folder: Path) -> None:
    """Print one row a file: the whole command's peak, how it ended, what it said."""
    mib = round(1.4 * options.budget_mib)
    print(f"budget {options.budget_mib} MiB; peak of the whole command, MiB")
    print(
        f"{'what':<22}{'runs':>5}{'median':>9}{'worst':>8}{'past':>6}{'line':>6}",
        end="",
    )
    print(f"{'left':>6}  exit codes")
    with busy_cores():
        for name in IMPORTS:
            if not options.only or name in options.only:
                job, line = importing_job(folder, name, mib)
                _row(name, [str(job)], f"imports.py:{line}", options, folder)
        if not options.only or "metadata" in options.only:
            source = _zip_of_names(folder)
            words = ["ingest", "--source", str(source)]
            _row("metadata", words, "", options, folder)


def _row(
    name: str, words: list[str], place: str, options: argparse.Namespace, folder: Path
) -> None:
    ends = [_ended(words, options, folder / "w") for _ in range(options.runs)]
    peaks = [peak / MIB for peak, *_ in ends]
    past = sum(peak > options.budget_mib for peak in peaks)
    named = sum(place in said for _, _, said, _ in ends)
    left = sum(n_left for *_, n_left in ends)
    print(f"{name:<22}{len(ends):>5}{statistics.median(peaks):>9.1f}", end="")
    print(f"{max(peaks):>8.1f}{past:>6}{named:>6}{left:>6}", end="")
    print(f"  {sorted({code for _, code, *_ in ends})}", flush=True)


def _ended(
    words: list[str], options: argparse.Namespace, space: Path
) -> tuple[int, int, str, int]:
    """Return peak, exit code, stderr, and how many processes outlived the command."""
    line = [sys.executable, "-m", "lowmem", "run", *words, "--workspace", str(space)]
    with control_group() as group:

        def enter() -> None:
            if group:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        with subprocess.Popen(
            [*line, "--ram-budget", f"{options.budget_mib}MiB", "--quiet"],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            preexec_fn=enter,  # noqa: PLW1509 - no thread is running yet
        ) as process:
            code = process.wait()
            left = (group / "cgroup.procs").read_text().split() if group else []
            for pid in left:
                os.kill(int(pid), 9)
            said = process.stderr.read() if process.stderr else ""
        mark = mark_of(group) if group else None
        peak = int(mark.read_text()) if mark else 0
    return peak, code, said, len(left)


def _zip_of_names(folder: Path) -> Path:
    path = folder / "names.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(N_NAMES):
            archive.writestr(zipfile.ZipInfo(f"{number:0150}.png"), b"")
    return path

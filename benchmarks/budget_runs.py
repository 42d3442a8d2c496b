"""One hog under its budget, with a control group around it: run, resumed, reported."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from budget_groups import control_group, mark_of, pids_of
from budget_ways import N_GROUPS

if TYPE_CHECKING:
    import argparse

JOB = Path(__file__).with_name("budget_hogs.py")


def lowmem_run(
    workspace: Path, kind: str, options: argparse.Namespace, **environment: str
) -> dict:
    """Run one hog under its budget; return its part of the report."""
    words = ["run", str(JOB), "--workspace", str(workspace), "--quiet", "--kind", kind]
    words += ["--ram-budget", f"{options.budget_mib}MiB"]
    words += ["--mib", environment.pop("mib")]
    run_measured([sys.executable, "-m", "lowmem", *words], kind, environment)
    report = subprocess.run(
        [sys.executable, "-m", "lowmem", "report", str(workspace), "--json"],
        check=True,
        capture_output=True,
    )
    return json.loads(report.stdout)["jobs"]["hog"]


def run_measured(
    line: list[str],
    kind: str,
    environment: dict[str, str],
    *,
    resumes_all: bool = False,
) -> str:
    """Run a program of a hog in a control group; return the last line that it printed.

    Parameters
    ----------
    environment
        With `HOG_LOG`, to which the group's last mark is added.
    resumes_all
        Whether all that is stopped is resumed, and not the program alone: lowmem holds
        its job while it is stopped itself.
    """
    with control_group() as group, tempfile.TemporaryFile() as printed:
        mark = mark_of(group) if group else None
        if mark:
            environment["HOG_MARK"] = str(mark)

        def enter() -> None:
            if group:
                (group / "cgroup.procs").write_text(str(os.getpid()))
            if kind in N_GROUPS:
                # Numbers of ten digits, as a directory of a company gives them.
                os.setgroups(range(10**9, 10**9 + N_GROUPS[kind]))

        with subprocess.Popen(
            line,
            env={**os.environ, **environment},
            # No pipe: a hog may print 60 MB.
            stdout=printed,
            stderr=subprocess.DEVNULL,
            # As a shell does it: a group whose parent is in another can be stopped.
            process_group=0,
            preexec_fn=enter,  # noqa: PLW1509 - no thread is running yet
        ) as process:
            resume_until_over(process, group if resumes_all else None)
        if mark:
            with Path(environment["HOG_LOG"]).open("a") as log:
                log.write(f"{mark.read_text().strip()} 0\n")
        # What it has left would keep its group.
        _signal(pids_of(group), signal.SIGKILL)
        printed.seek(max(0, printed.tell() - 2**12))
        lines = printed.read().decode(errors="replace").splitlines()
        return lines[-1] if lines else ""


def resume_until_over(process: subprocess.Popen[bytes], group: Path | None) -> None:
    """Wait for the end; what is stopped meanwhile continues after four seconds."""
    while process.poll() is None:
        stopped = [pid for pid in {process.pid, *pids_of(group)} if _is_stopped(pid)]
        if stopped:
            time.sleep(4)
            _signal(stopped, signal.SIGCONT)
        time.sleep(0.1)


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _is_stopped(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] == "T"


def marks(log: Path) -> list[int]:
    """Return the group's mark of each turn; the first line is what came before."""
    return [mark for mark, _ in _noted(log)][1:]


def taken_bytes(log: Path) -> list[int]:
    """Return what each turn took: the group's mark beyond what was in use before."""
    noted = _noted(log)
    return [noted[n + 1][0] - noted[n][1] for n in range(len(noted) - 1)]


def _noted(log: Path) -> list[tuple[int, int]]:
    if not log.exists():
        return []
    lines = log.read_text().splitlines()
    return [(int(mark), int(used)) for mark, used in map(str.split, lines)]

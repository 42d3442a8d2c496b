"""Start `lowmem` as a person does, in a process of its own, and read what it left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from lowmem.base.workspace import Workspace
from lowmem.history.recorded import read_records
from lowmem.protocol.records import AttemptBegun, CycleEnded, Incident
from lowmem.report.read import read_report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lowmem.protocol.records import AnyRecord

# seconds; far more than any run here needs, even on a loaded machine.
PATIENCE_S = 90.0

# Sums squares: a function of its rows alone, in steps that may each be cut. Its file of
# rows is appended to, as a job with large results does it.
COUNTING = """
import json, os, time, lowmem
from lowmem.base.files import sync_file

@lowmem.job(
    unit="rows",
    options=[
        lowmem.Option(name="rows", kind="int", default=12, minimum=1),
        lowmem.Option(name="pause", kind="float", default=0.0, is_recipe=False),
    ],
    settings=({"block": 4}, {"block": 2}),
)
def count(ctx):
    'Count rows.'
    done, total = ctx.state.get("done", 0), ctx.state.get("total", 0)
    rows = ctx.staging / "rows.txt"
    rows.touch()
    os.truncate(rows, ctx.state.get("size", 0))
    while done < ctx.options["rows"]:
        time.sleep(ctx.options["pause"])
        total += done * done
        with rows.open("a") as stream:
            stream.write(f"{done}\\n")
        done += 1
        yield lowmem.CommitPoint(
            items=1,
            state={"done": done, "total": total, "size": rows.stat().st_size},
            flush=lambda: sync_file(rows),
        )
    (ctx.staging / "count.json").write_text(json.dumps({"total": total}))
    return lowmem.Result(publish=["count.json", "rows.txt"], summary={"total": total})
"""


# Needs 1 GB for each block, as its formula says, so any smaller budget is refused.
LARGE = """
import lowmem

def predict(context, settings):
    return lowmem.Rung(settings=settings, ram_bytes=settings["block"] * 10**9)

def work(ctx):
    yield lowmem.CommitPoint(items=1, state={"block": ctx.settings["block"]})

JOB = lowmem.Job(
    name="large",
    work=work,
    ladder=lambda _: ({"block": 8}, {"block": 2}, {"block": 1}),
    predict=predict,
)
"""


# Writes a store chunk by chunk, a text, and keeps an array in its checkpoints.
SQUARES = """
import lowmem, numpy as np
from lowmem.stores.row_writer import RowWriter

@lowmem.job(unit="rows")
def squares(ctx):
    'Square numbers.'
    writer = RowWriter.open(
        ctx.staging / "squares.zarr", "squares", row_shape=(3,), dtype=np.int64,
        chunk_rows=4, n_rows=ctx.state.get("rows", 0),
    )
    for start in range(writer.n_rows, 18, 4):
        rows = np.arange(start, min(start + 4, 18))
        writer.append(np.stack([rows, rows**2, rows**3], axis=1))
        total = ctx.arrays["total"] if ctx.state and start == 0 else np.zeros(3)
        yield lowmem.CommitPoint(
            items=len(rows), state={"rows": start + len(rows)},
            arrays={"total": total + rows.sum()}, flush=writer.flush,
        )
    writer.flush()
    (ctx.staging / "squares.txt").write_text("18 squares\\n")
    return lowmem.Result(publish=["squares.zarr", "squares.txt"], summary={"n": 18})
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def paragraph(self) -> str:
        """The last paragraph on stderr, which says what happened, as one line."""
        # A long path may be wrapped to the next line.
        start = max(self.err.rfind("lowmem: "), self.err.rfind("lowmem:\n"))
        return " ".join(self.err[start:].split()) if start >= 0 else ""


def job_file(folder: Path, source: str, name: str = "job.py") -> Path:
    """Write a user's job file."""
    path = folder / name
    path.write_text(textwrap.dedent(source))
    return path


def lowmem(
    *words: object, cwd: Path | None = None, patience_s: float = PATIENCE_S
) -> Ended:
    """Run one command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "lowmem", *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=patience_s,
        cwd=cwd,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def run(job: Path, space: Path, *words: object, cycle_steps: int | None = 3) -> Ended:
    """Run a job file in a workspace."""
    steps = () if cycle_steps is None else ("--cycle-steps", cycle_steps)
    return lowmem("run", job, "--workspace", space, *steps, *words, cwd=space.parent)


@dataclass(slots=True)
class Running:
    """A run under way."""

    process: subprocess.Popen[str]
    space: Workspace

    def wait_for(self, what: Callable[[Sequence[AnyRecord]], object]) -> None:
        """Wait until the journal shows something; fail if the run ends before."""
        until(lambda: what(records(self.space.root)) or self.has_ended)
        assert what(records(self.space.root)), self.process.communicate()

    def wait_for_commits(self, n_commits: int) -> None:
        """Wait for so many commits in the journal."""
        self.wait_for(lambda found: len(committed_cycles(found)) >= n_commits)

    @property
    def has_ended(self) -> bool:
        """Whether the command has ended."""
        return self.process.poll() is not None

    @property
    def worker(self) -> psutil.Process:
        """The worker, which must be running."""
        return next(
            child
            for child in psutil.Process(self.process.pid).children()
            if "lowmem.worker" in child.cmdline()
        )

    def end(self) -> Ended:
        """Wait for the end."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return Ended(self.process.returncode, out, err)


@contextmanager
def running(
    job: Path,
    space: Path,
    *words: object,
    cycle_steps: int | None = 3,
    program: Sequence[str] = ("-m", "lowmem"),
) -> Iterator[Running]:
    """Start a job file in a workspace; it is killed when the block ends.

    Parameters
    ----------
    program
        What Python runs in the place of the command line.
    """
    steps = () if cycle_steps is None else ("--cycle-steps", cycle_steps)
    arguments = ["run", job, "--workspace", space, *steps, *words]
    process = subprocess.Popen(
        [sys.executable, *program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=space.parent,
    )
    try:
        yield Running(process, Workspace.at(space))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def stop_after_commits(job: Path, space: Path, n_commits: int, *words: object) -> Ended:
    """Run a job until its journal shows so many commits, and stop it by a signal."""
    with running(job, space, *words) as live:
        live.wait_for_commits(n_commits)
        live.process.terminate()
        ended = live.end()
    assert ended.status == 75, ended
    return ended


def until(
    condition: Callable[[], object],
    *,
    patience_s: float = PATIENCE_S,
    pause_s: float = 0.005,
) -> None:
    """Wait for a condition."""
    give_up_at = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up_at, "waited too long"
        time.sleep(pause_s)


def records(space: Path) -> list[AnyRecord]:
    """Return what the journal of a workspace holds; a line being written is left out."""
    return list(read_records(Workspace.at(space).journal))


def committed_cycles(found: Sequence[AnyRecord]) -> list[CycleEnded]:
    """Return the records of committed cycles."""
    return [r for r in found if isinstance(r, CycleEnded) and r.outcome == "committed"]


def incidents(space: Path) -> list[Incident]:
    """Return what went wrong in a workspace."""
    return [r for r in records(space) if isinstance(r, Incident)]


def attempts(space: Path) -> list[AttemptBegun]:
    """Return the workers that became ready."""
    return [r for r in records(space) if isinstance(r, AttemptBegun)]


def assert_counted(space: Path, n_rows: int = 12) -> None:
    """Assert that `COUNTING` ended as if it had never been cut, and says so."""
    rows = (space / "rows.txt").read_text().split()
    assert rows == [str(row) for row in range(n_rows)]
    total = sum(row * row for row in range(n_rows))
    assert (space / "count.json").read_text() == f'{{"total": {total}}}'
    job = read_report(Workspace.at(space), is_live=False).jobs["count"]
    assert job.state == "done"
    assert job.summary == {"total": total}
    cycles = committed_cycles(records(space))
    assert [c.cycle.index for c in cycles] == list(range(len(cycles)))
    assert sum(c.cycle.items for c in cycles) == n_rows


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal, if the process is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def children_of(pid: int) -> list[psutil.Process]:
    """Return all descendants of a process that lives."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

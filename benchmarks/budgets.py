"""Budgets that hold, in figures: the peak of jobs that want more than they may have.

    python benchmarks/budgets.py hogs          jobs that must be stopped; --runs 100
    python benchmarks/budgets.py uncounted     what the budget does not count, and its size
    python benchmarks/budgets.py imports       what takes too much before a job begins
    python benchmarks/budgets.py harmless      jobs that must not be
    python benchmarks/budgets.py readings      what a reading costs; --against CHECKOUT
    python benchmarks/budgets.py supervisor    its own memory and time, in training;
                                               --columns 80: with a terminal to draw on
    python benchmarks/budgets.py drawing       what its line costs; --against CHECKOUT
    python benchmarks/budgets.py cycles        memory after each of 200 cycles
    python benchmarks/budgets.py cache         a file of three budgets, read again
    python benchmarks/budgets.py peers         who counts which hog: Dask, Ray, a group

`peak` is the kernel's own high-water mark of the whole run, from the control group that
is put around it (kernel memory and page cache that it brought in included); where no
group can be made, the sum of the processes' marks less their file-backed part. `over`
is the peak beyond the threshold at which lowmem kills. Two other processes keep two
cores busy meanwhile.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from budget_drawing import run_drawing
from budget_hogs import HARMLESS, HOGS
from budget_imports import run_imports
from budget_peers import busy_cores, run_peers, status_kib
from budget_readings import run_readings
from budget_runs import lowmem_run, marks
from budget_ways import NEED_ROOT, UNCOUNTED, remove_segments

from lowmem.memory.budget import RamBudget
from lowmem.memory.fill_rate import measured_fill_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MIB = 2**20
# Rows of a block of `encode`: the least that it commits.
ENCODED_ROWS = 1024
LEAVES = {"detached_segments"}


def main() -> None:
    """Run one part and print its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--runs", type=int, default=100, help="of each hog")
    parser.add_argument("--budget-mib", type=int, default=1024)
    parser.add_argument("--only", nargs="*", help="names of hogs")
    parser.add_argument("--against", help="a folder with another lowmem")
    parser.add_argument("--seconds", type=int, default=300, help="of training")
    parser.add_argument(
        "--columns", type=int, help="of a terminal; without one if not given"
    )
    options = parser.parse_args()
    print(f"python benchmarks/budgets.py {' '.join(sys.argv[1:])}")
    with tempfile.TemporaryDirectory(prefix="lowmem-") as folder:
        PARTS[options.part](options, Path(folder))


# --- hogs -------------------------------------------------------------------------


def run_hogs(options: argparse.Namespace, folder: Path) -> None:
    """Print one row a hog: every turn must be stopped below the budget."""
    _print_rows(HOGS, options, folder)


def run_uncounted(options: argparse.Namespace, folder: Path) -> None:
    """Print one row a way that the budget does not count: how far it goes."""
    _print_rows(UNCOUNTED, options, folder)


def _print_rows(
    hogs: Sequence[Callable[..., None]], options: argparse.Namespace, folder: Path
) -> None:
    budget = RamBudget(
        limit_bytes=options.budget_mib * MIB, fill_rate=measured_fill_rate()
    )
    print(
        f"budget {options.budget_mib} MiB, killed above {budget.hard_bytes / MIB:.1f} "
        f"(guard band {budget.guard_bytes / budget.limit_bytes:.2%}), "
        f"fill rate {budget.fill_rate / 1e9:.1f} GB/s"
    )
    print(f"{'hog':<26}{'runs':>5}{'stopped':>8}", end="")
    print(
        f"{'peak MiB: median':>18}{'worst':>8}{'over: median':>14}{'worst':>8}", end=""
    )
    print(f"{'past budget':>13}  verdicts, places")
    with busy_cores():
        for hog in hogs:
            name = hog.__name__
            if options.only and name not in options.only:
                continue
            if name in NEED_ROOT and os.geteuid():
                print(f"{name}: needs the rights of root")
                continue
            _hog_row(name, options, folder, budget)


def _hog_row(
    name: str, options: argparse.Namespace, folder: Path, budget: RamBudget
) -> None:
    peaks: list[int] = []
    events: list[dict] = []
    # What outlives its process would count against the next turn: a run each.
    n_runs = options.runs if name in LEAVES else 1
    for run in range(n_runs):
        log = folder / f"{name}-{run}.log"
        found = lowmem_run(
            folder / f"{name}-{run}",
            name,
            options,
            mib=str(round(1.4 * options.budget_mib)),
            HOG_TURNS=str(options.runs // n_runs),
            HOG_LOG=str(log),
            HOG_REST=os.environ.get("HOG_REST", "8"),
        )
        remove_segments()
        events += found["events"]
        peaks += marks(log) or _marks_of_processes(found)
    over = [max(0.0, peak - budget.hard_bytes) / MIB for peak in peaks]
    past = sum(peak > budget.limit_bytes for peak in peaks)
    places = {event["where"] for event in events}
    verdicts = {event["verdict"] for event in events}
    print(f"{name:<26}{len(peaks):>5}{len(events):>8}", end="")
    print(f"{statistics.median(peaks) / MIB:>18.1f}{max(peaks) / MIB:>8.1f}", end="")
    print(f"{statistics.median(over):>14.1f}{max(over):>8.1f}{past:>13}", end="")
    print(f"  {', '.join(map(str, [*verdicts, *places]))}", flush=True)


def _marks_of_processes(job: dict) -> list[int]:
    cycles = [c for c in job["cycles"] if c["outcome"] == "interrupted"]
    return [c["ram_hwm_bytes"] for c in cycles]


def run_harmless(options: argparse.Namespace, folder: Path) -> None:
    """Print one row a job that must not be stopped."""
    print(
        f"{'job':<20}{'state':>8}{'kills':>7}{'workers':>9}{'reading MiB':>13}", end=""
    )
    print(f"{'seconds':>9}")
    with busy_cores():
        for job in HARMLESS:
            if options.only and job.__name__ not in options.only:
                continue
            began = time.monotonic()
            found = lowmem_run(
                folder / job.__name__,
                job.__name__,
                options,
                mib=str(options.budget_mib),
                HOG_LOG=str(folder / "log"),
            )
            print(
                f"{job.__name__:<20}{found['state']:>8}{len(found['events']):>7}",
                end="",
            )
            print(
                f"{found['attempts']:>9}{found['ram_peak_bytes'] / MIB:>13.1f}", end=""
            )
            print(f"{time.monotonic() - began:>9.0f}", flush=True)


# --- the supervisor's own size, and slopes ----------------------------------------


@contextmanager
def _terminal(columns: int | None) -> Iterator[int]:
    """Give a pseudo-terminal of so many columns that is read; nothing where None."""
    if columns is None:
        yield subprocess.DEVNULL
        return
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    threading.Thread(target=_drain, args=(ours,), daemon=True).start()
    try:
        yield theirs
    finally:
        os.close(theirs)


def _drain(descriptor: int) -> None:
    # The last one that writes closes it: then reading fails.
    with suppress(OSError):
        while os.read(descriptor, 65536):
            pass
    os.close(descriptor)


def run_supervisor(options: argparse.Namespace, folder: Path) -> None:
    """Print the supervisor's memory and time during a training."""
    words = ["run", "train", "--workspace", str(folder / "w"), "--ram-budget", "2GiB"]
    words += ["--epochs", "100000", "--filters", "8,16", "--latent-dim", "8"]
    # Ended below; on a busy machine it takes minutes to get there.
    words += ["--time-budget", f"{options.seconds + 900}s"]
    command = [sys.executable, "-m", "lowmem", *words, "--device", "cpu"]
    with (
        _terminal(options.columns) as screen,
        subprocess.Popen(command, stderr=screen) as process,
    ):
        while not (workers := _committed(folder / "w")):
            if process.poll() is not None:
                sys.exit("the run ended before its training had committed anything")
            time.sleep(0.5)
        began, ticks, most = time.monotonic(), _cpu_ticks(process.pid), 0
        while time.monotonic() - began < options.seconds and process.poll() is None:
            most = max(most, status_kib(process.pid, "VmRSS"))
            time.sleep(1)
        seconds = time.monotonic() - began
        share = (_cpu_ticks(process.pid) - ticks) / os.sysconf("SC_CLK_TCK") / seconds
        anonymous = status_kib(process.pid, "RssAnon")
        cycles = _committed(folder / "w") - workers
        process.terminate()
    print(
        f"{'seconds':>8}{'cycles':>8}{'resident MiB':>14}{'anonymous':>11}{'of a core':>11}"
    )
    print(f"{seconds:>8.0f}{cycles:>8}{most / 1024:>14.1f}", end="")
    print(f"{anonymous / 1024:>11.1f}{share:>11.2%}")


def _committed(workspace: Path) -> int:
    journal = workspace / ".lowmem" / "journal.jsonl"
    text = journal.read_text() if journal.exists() else ""
    lines = [line for line in text.splitlines() if '"job":"train"' in line]
    return sum('"outcome":"committed"' in line for line in lines)


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def run_cycles(_: argparse.Namespace, folder: Path) -> None:
    """Print the slope of memory after the clean-up over 200 cycles and more."""
    run = [sys.executable, "-m", "lowmem", "run"]
    shape = ["--filters", "8,16", "--latent-dim", "8", "--batch-size", "16"]
    every = ["--cycle-steps", "1", "--recycle-every", "100000"]
    print(
        f"{'job':<8}{'cycles':>8}{'first MiB':>11}{'last MiB':>10}{'KiB a cycle':>13}"
    )
    # A cycle of `train` may be one batch; one of `encode` is never less than a block.
    for name, n_images, words in (
        ("train", 3300, ["--epochs", "1", *shape, *every]),
        ("encode", 210 * ENCODED_ROWS, every),
    ):
        source, space = folder / f"{name}.npy", folder / name
        write_images(source, n_images)
        small = ["--workspace", str(space), "--quiet", "--ram-budget", "2GiB"]
        data = ["ingest", "--source", str(source), "--size", "16"]
        subprocess.run([*run, *data, *small], check=True)
        if name == "encode":
            (folder / "train" / "model").rename(space / "model")
        job = [*run, name, *words, *small, "--device", "cpu"]
        subprocess.run(job, check=True)
        print_slope(space, name)


def write_images(file: Path, n_images: int) -> None:
    """Write noise, 16 x 16 pixels."""
    noise = np.random.default_rng(1)
    np.save(file, noise.integers(0, 256, (n_images, 16, 16, 3), np.uint8))


def print_slope(space: Path, name: str) -> None:
    """Print what was held after each cycle of one job, and its trend."""
    report = subprocess.run(
        [sys.executable, "-m", "lowmem", "report", str(space), "--json"],
        check=True,
        capture_output=True,
    )
    job = json.loads(report.stdout)["jobs"][name]
    ends = [c["ram_end_bytes"] for c in job["cycles"] if c["ram_end_bytes"]]
    # The first cycles compile the step and fill the pools.
    ends = ends[10:]
    slope = statistics.linear_regression(range(len(ends)), ends).slope
    print(f"{name:<8}{len(ends):>8}{ends[0] / MIB:>11.1f}", end="")
    print(f"{ends[-1] / MIB:>10.1f}{slope / 1024:>13.2f}", flush=True)


# --- the page cache ---------------------------------------------------------------

# Reads a file three times, and tells how long the last time took.
REREADING = """
import sys, time
def last_of_three(path):
    for _ in range(3):
        began = time.perf_counter()
        with open(path, "rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass
    return time.perf_counter() - began
buffer = bytearray(2**18)
"""
REREADING_JOB = f"""{REREADING}
import lowmem
@lowmem.job(options=[lowmem.Option(name="file", kind="str", default="")])
def rereads(ctx):
    seconds = last_of_three(ctx.options["file"])
    (ctx.staging / "seconds").write_text(str(seconds))
    yield lowmem.CommitPoint(items=1)
    return lowmem.Result(publish=["seconds"])
"""


def run_cache(options: argparse.Namespace, folder: Path) -> None:
    """Print how fast a job reads what the page cache holds, beside a plain process."""
    file, job, space = folder / "file", folder / "job.py", folder / "w"
    n_mib = 3 * options.budget_mib
    with file.open("wb") as stream:
        for _ in range(n_mib):
            stream.write(os.urandom(1024) * 1024)
    job.write_text(REREADING_JOB)
    alone = [sys.executable, "-c", f"{REREADING}print(last_of_three(sys.argv[1]))"]
    run = [sys.executable, "-m", "lowmem", "run", str(job), "--workspace", str(space)]
    run += ["--ram-budget", f"{options.budget_mib}MiB", "--quiet", "--restart"]
    print(f"{n_mib} MiB, budget {options.budget_mib} MiB; MiB/s of the third reading")
    print(f"{'alone':>8}{'as a job':>10}{'ratio':>8}")
    for _ in range(min(5, options.runs)):
        line = [*alone, str(file)]
        plain = float(subprocess.run(line, check=True, capture_output=True).stdout)
        subprocess.run([*run, "--file", str(file)], check=True)
        within = float((space / "seconds").read_text())
        print(f"{n_mib / plain:>8.0f}{n_mib / within:>10.0f}{plain / within:>8.2f}")


PARTS = {
    "cache": run_cache,
    "hogs": run_hogs,
    "imports": run_imports,
    "uncounted": run_uncounted,
    "harmless": run_harmless,
    "readings": run_readings,
    "supervisor": run_supervisor,
    "drawing": run_drawing,
    "cycles": run_cycles,
    "peers": run_peers,
}


if __name__ == "__main__":
    main()

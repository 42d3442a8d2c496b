"""The same hogs under the limits of others: who counts what, for `budgets.py`.

- `dask`: the nanny of a worker, with the budget as its `memory_limit`.
- `ray`: the monitor of a machine, which may fill by the budget beyond what is in use.
- `group`: a control group of the kernel's with the budget as its limit, as `systemd-run
  --scope -p MemoryMax=` makes it; by hand, since that needs systemd.
- `lowmem`: `lowmem run --ram-budget`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from budget_hogs import HOGS
from budget_runs import lowmem_run, run_measured, taken_bytes
from budget_ways import NEED_ROOT, UNCOUNTED, remove_segments

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

MIB = 2**20
HERE = Path(__file__).parent


@contextlib.contextmanager
def busy_cores(n_cores: int = 2) -> Iterator[None]:
    """Keep cores busy with other work."""
    spin = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(spin) for _ in range(n_cores)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def status_kib(pid: int, name: str) -> int:
    """Return one field of a process's status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


# Each says last whether it was stopped. Names at the top are not there in a worker.
ATTACK = """
def attack(kind, mib):
    import os, sys, tempfile
    from pathlib import Path
    sys.path.insert(0, os.environ["HOG_FOLDER"])
    import budget_hogs
    hogs = (*budget_hogs.HOGS, *budget_hogs.UNCOUNTED)
    chosen = next(hog for hog in hogs if hog.__name__ == kind)
    with tempfile.TemporaryDirectory() as folder:
        budget_hogs.note_mark()
        chosen(mib, Path(folder))

import os, sys
kind, budget, mib = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
patience_s = 120
"""
DASK = f"""{ATTACK}
import logging
from distributed import Client, LocalCluster
logging.disable(logging.CRITICAL)
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=f"{{budget}}MiB",
                      dashboard_address=None) as cluster, Client(cluster) as client:
        try:
            client.submit(attack, kind, mib, retries=0).result(timeout=patience_s)
            print("went on")
        except Exception as error:
            print(type(error).__name__)
"""
RAY = f"""{ATTACK}
import psutil
memory = psutil.virtual_memory()
# Ray watches the machine: what is in use now, and the budget on top of it.
share = (memory.total - memory.available + budget * 2**20) / memory.total
os.environ["RAY_memory_usage_threshold"] = str(share)
os.environ["RAY_memory_monitor_refresh_ms"] = "250"
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
         object_store_memory=100 * 2**20)
try:
    ray.get(ray.remote(max_retries=0)(attack).remote(kind, mib), timeout=patience_s)
    print("went on")
except Exception as error:
    print(type(error).__name__)
ray.shutdown()
"""
GROUP = f"""{ATTACK}
from pathlib import Path
sys.path.insert(0, os.environ["HOG_FOLDER"])
from budget_groups import limited_group, n_killed
if "HOG_MARK" not in os.environ:
    print("no group can be made")
    sys.exit()
with limited_group(Path(os.environ["HOG_MARK"]).parent, budget * 2**20) as group:
    pid = os.fork()
    if pid == 0:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        try:
            attack(kind, mib)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    print("killed by the kernel" if n_killed(group) else "went on")
    for line in (group / "cgroup.procs").read_text().split():
        os.kill(int(line), 9)
"""
PEERS = {"dask": DASK, "ray": RAY, "group": GROUP}
MODULES = {"dask": "distributed", "ray": "ray"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """How one hog ended under one limit.

    Attributes
    ----------
    outcome
        `went on` where nothing stopped it.
    taken_mib
        The group's mark beyond what was in use when the hog began; None without a group.
    """

    outcome: str
    taken_mib: float | None

    @property
    def is_stopped(self) -> bool:
        """Whether the limit was noticed."""
        return self.outcome != WENT_ON


WENT_ON = "went on"


def run_peers(options: argparse.Namespace, folder: Path) -> None:
    """Print what each hog took under each limit, and whether it was stopped."""
    asked = round(1.4 * options.budget_mib)
    print(
        f"limit {options.budget_mib} MiB, each hog asks for {asked}; stopped in so many"
    )
    print(
        "runs, and MiB that were taken beyond what was in use before: median (most)\n"
    )
    whos = [*(who for who in PEERS if _is_there(who)), "lowmem"]
    print(f"| hog | {' | '.join(whos)} |\n|{'---|' * (1 + len(whos))}")
    outcomes: dict[str, set[str]] = {who: set() for who in whos}
    with busy_cores():
        for hog in (*HOGS, *UNCOUNTED):
            name = hog.__name__
            if (options.only and name not in options.only) or _lacks_rights(name):
                continue
            print(f"| {name}", end="", flush=True)
            for who in whos:
                turns = [_turn(who, name, options, folder) for _ in range(options.runs)]
                outcomes[who] |= {turn.outcome for turn in turns}
                print(f" | {_cell(turns)}", end="", flush=True)
            print(" |")
    for who, seen in outcomes.items():
        print(f"{who}: {', '.join(sorted(seen))}")


def _is_there(who: str) -> bool:
    module = MODULES.get(who)
    if module is None or importlib.util.find_spec(module) is not None:
        return True
    print(f"{who}: {module} is not installed")
    return False


def _lacks_rights(name: str) -> bool:
    return name in NEED_ROOT and bool(os.geteuid())


def _turn(who: str, name: str, options: argparse.Namespace, folder: Path) -> Turn:
    log = folder / f"{who}-{name}.log"
    log.unlink(missing_ok=True)
    asked = str(round(1.4 * options.budget_mib))
    variables = {"HOG_LOG": str(log), "HOG_REST": os.environ.get("HOG_REST", "8")}
    variables |= {"HOG_FOLDER": str(HERE)}
    if who == "lowmem":
        space = folder / f"w-{name}-{len(list(folder.iterdir()))}"
        found = lowmem_run(space, name, options, mib=asked, **variables)
        verdicts = sorted({event["verdict"] for event in found["events"]})
        outcome = ", ".join(verdicts) or WENT_ON
    else:
        # Not `dask.py`: the folder of a script is where it looks for modules first.
        script = folder / f"{who}_hog.py"
        script.write_text(PEERS[who])
        line = [sys.executable, str(script), name, str(options.budget_mib), asked]
        outcome = run_measured(line, name, variables, resumes_all=True)
    remove_segments()
    taken = taken_bytes(log)
    return Turn(
        outcome=outcome or "ended without a word",
        taken_mib=taken[-1] / MIB if taken else None,
    )


def _cell(turns: Sequence[Turn]) -> str:
    n_stopped = sum(turn.is_stopped for turn in turns)
    taken = [turn.taken_mib for turn in turns if turn.taken_mib is not None]
    if not taken:
        return f"{n_stopped} of {len(turns)}"
    middle, most = statistics.median(taken), max(taken)
    return f"{n_stopped} of {len(turns)}: {middle:.0f} ({most:.0f})"

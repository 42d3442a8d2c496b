"""The same bomb under the limits of others, for `budgets.py`."""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

MIB = 2**20


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


# Each prints the peak of its workers; the bomb is the same one shot, then a ramp.
BOMB = """
def bomb(mib, steps):
    import time
    held = [b"x" * (mib * 2**20 // steps) for _ in range(steps)]
    time.sleep(3)
    return len(held)
"""
DASK = (
    BOMB
    + """
import logging, sys, warnings
from distributed import Client, LocalCluster
logging.disable(logging.CRITICAL)
if __name__ == "__main__":
    mib, steps = int(sys.argv[1]), int(sys.argv[2])
    with LocalCluster(n_workers=1, threads_per_worker=1, memory_limit=f"{mib}MiB",
                      dashboard_address=None) as cluster, Client(cluster) as client:
        try:
            client.submit(bomb, round(1.4 * mib), steps, retries=0).result(timeout=60)
            print("not stopped")
        except Exception as error:
            print(type(error).__name__)
"""
)
RAY = (
    BOMB
    + """
import os, sys, psutil
mib, steps = int(sys.argv[1]), int(sys.argv[2])
memory = psutil.virtual_memory()
# Ray watches the machine: what is in use now, and the budget on top of it.
share = (memory.total - memory.available + mib * 2**20) / memory.total
os.environ["RAY_memory_usage_threshold"] = str(share)
os.environ["RAY_memory_monitor_refresh_ms"] = "250"
import ray
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
         object_store_memory=100 * 2**20)
try:
    ray.get(ray.remote(max_retries=0)(bomb).remote(round(1.4 * mib), steps), timeout=60)
    print("not stopped")
except Exception as error:
    print(type(error).__name__)
ray.shutdown()
"""
)


def run_peers(options: argparse.Namespace, folder: Path) -> None:
    """Print the peak of the same bomb under others' limits, in turn with lowmem's."""
    print(f"budget {options.budget_mib} MiB, for the worker's process")
    print(
        f"{'who':<8}{'bomb':<10}{'runs':>5}{'peak MiB: median':>18}{'worst':>8}  outcome"
    )
    with busy_cores():
        for bomb, steps in (("one_shot", 1), ("ramp", 1400)):
            for who, script in (("dask", DASK), ("ray", RAY)):
                module = {"dask": "distributed", "ray": "ray"}[who]
                if importlib.util.find_spec(module) is None:
                    print(f"{who}: {module} is not installed")
                    continue
                source = folder / f"{who}_bomb.py"
                source.write_text(script)
                runs = [_peer_run(source, steps, options) for _ in range(options.runs)]
                peaks = [peak / MIB for peak, _ in runs]
                print(f"{who:<8}{bomb:<10}{len(runs):>5}", end="")
                print(f"{statistics.median(peaks):>18.0f}{max(peaks):>8.0f}", end="")
                print(
                    f"  {', '.join(sorted({outcome for _, outcome in runs}))}",
                    flush=True,
                )


def _peer_run(source: Path, steps: int, options: argparse.Namespace) -> tuple[int, str]:
    """Return the largest high-water mark of its processes, less the file-backed part."""
    command = [sys.executable, str(source), str(options.budget_mib), str(steps)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        peak = 0
        while process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(StopIteration, OSError):
                    mark = status_kib(child.pid, "VmHWM")
                    peak = max(peak, mark - status_kib(child.pid, "RssFile"))
            time.sleep(0.002)
        outcome = process.stdout.read().strip() if process.stdout else ""
    return peak * 1024, outcome

"""The whole path in figures: time and peak memory of each of the five jobs.

    python benchmarks/whole_path.py                       the demo: 2,000 drawn faces
    python benchmarks/whole_path.py --source images.zip   your own images

Prints one row a job. `peak` is the largest reading of what the budget counts; `kernel`
is the kernel's own high-water mark of all processes, file-backed pages included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

MIB = 2**20


def main() -> None:
    """Run the five jobs in a new workspace and print their table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="faces:2000")
    parser.add_argument("--size", default="64")
    parser.add_argument("--ram-budget", default="2G")
    parser.add_argument("--workspace", type=Path)
    options, more = parser.parse_known_args()
    workspace = options.workspace or Path(tempfile.mkdtemp(prefix="lowmem-")) / "w"
    lowmem = [sys.executable, "-m", "lowmem"]
    chosen = ["--source", options.source, "--size", options.size]
    budget = ["--ram-budget", options.ram_budget, "--workspace", str(workspace)]
    subprocess.run([*lowmem, "run", "all", *chosen, *budget, *more], check=True)
    report = subprocess.run(
        [*lowmem, "report", str(workspace), "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    print(f"workspace {workspace}")
    print_table(json.loads(report.stdout)["jobs"])


def print_table(jobs: dict[str, dict]) -> None:
    """Print one row a job, from the report."""
    print(f"{'job':<10}{'items':>9}{'seconds':>9}{'commits':>9}{'tries':>7}", end="")
    print(f"{'peak MiB':>10}{'kernel MiB':>12}{'of budget':>11}")
    for name, job in jobs.items():
        cycles = [c for c in job["cycles"] if c["outcome"] == "committed"]
        items = sum(c["items"] for c in cycles)
        seconds = sum(c["seconds"] for c in cycles)
        peak = job["ram_peak_bytes"]
        kernel = max(c["ram_hwm_bytes"] or 0 for c in job["cycles"])
        share = peak / job["budgets"]["ram_bytes"]
        print(f"{name:<10}{items:>9,}{seconds:>9.1f}{len(cycles):>9}", end="")
        print(f"{job['attempts']:>7}{peak / MIB:>10.0f}", end="")
        print(f"{kernel / MIB:>12.0f}{share:>11.0%}")


if __name__ == "__main__":
    main()

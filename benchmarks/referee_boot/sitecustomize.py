"""Lets `ckpt-chaos` see one process of lowmem's: see `benchmarks/referee.py`.

Python imports this at the start of each process. `ckpt-chaos` watches the first process of
a command, and marks the environment so that none after it is. The first process of
lowmem's becomes another program, which starts those that work. So the mark is set by
`referee_run.py`, and here the one that is asked for is watched.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def _is_wanted(line: list[str], who: str) -> bool:
    if who == "supervisor":
        return "lowmem.cli.supervise" in line
    # Descriptor, parent, and the lock: planners and trials get no lock.
    if "lowmem.worker" not in line:
        return False
    return len(line) - line.index("lowmem.worker") == 4


if _is_wanted(sys.orig_argv, os.environ.get("REFEREE_WATCHES", "")):
    from ckpt_chaos.targets.common import arm_from_env

    # One crash: a worker that is started after it in the same run is let alone.
    mark = Path(os.environ["CKPT_CHAOS_LOG"] + ".begun")
    if not mark.exists():
        mark.touch()
        arm_from_env(0, lazy=True)

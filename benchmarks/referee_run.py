"""The command that `benchmarks/referee.py` gives to `ckpt-chaos`: one job in a workspace.

    python referee_run.py worker|supervisor PREPARED WORKSPACE WORD...

A workspace that is not there begins as a copy of `PREPARED`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BOOT = Path(__file__).parent / "referee_boot"


def main(who: str, prepared: str, workspace: str, *words: str) -> None:
    """Become `lowmem`, of which one process is watched where anything is."""
    if not Path(workspace).exists():
        # Not by this process: it is watched until it becomes another.
        subprocess.run(["/bin/cp", "-r", prepared, workspace], check=True)
    if "CKPT_CHAOS_WATCH" in os.environ:
        os.environ["CKPT_CHAOS_ARMED"] = "1"
        os.environ["REFEREE_WATCHES"] = who
        paths = [str(BOOT), os.environ["PYTHONPATH"]]
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    line = ["-m", "lowmem", "run", *words, "--workspace", workspace, "--quiet"]
    os.execv(sys.executable, [sys.executable, *line])  # noqa: S606 - no shell is needed


if __name__ == "__main__":
    main(*sys.argv[1:])

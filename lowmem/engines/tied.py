"""Become ``lowmem WORDS`` in a folder, and die with the process that started this one.

    python -m lowmem.engines.tied PARENT_PID FOLDER WORDS...

A launcher that is killed, or the worker of an engine, takes its shards along: the same
command then finds none of them at work. What they have committed is kept.
"""

from __future__ import annotations

import os
import sys

from lowmem.base.parent import die_with

if __name__ == "__main__":
    # It survives `exec`.
    die_with(int(sys.argv[1]))
    os.chdir(sys.argv[2])
    line = [sys.executable, "-m", "lowmem", *sys.argv[3:]]
    os.execv(sys.executable, line)  # noqa: S606 - no shell is the point

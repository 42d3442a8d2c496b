"""Another checkout of lowmem in the environment of this one, for figures side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]


def environment_of(place: Path) -> dict[str, str]:
    """Return an environment in which the lowmem of that checkout is imported.

    Notes
    -----
    Python looks before that into the folder where it is started, if it is given a program
    in its line or a module. So what gets this environment has to start in another folder.
    """
    found = os.pathsep.join([str(place), str(place / "jobs")])
    return os.environ | {"PYTHONPATH": found}


def require_checkout(place: Path) -> None:
    """End where Python would import another lowmem than that of a folder."""
    code = "import lowmem, lowmem_jobs; print(lowmem.__file__, *lowmem_jobs.__path__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment_of(place),
        cwd=tempfile.gettempdir(),
        capture_output=True,
        text=True,
        check=False,
    )
    expected = f"{place / 'lowmem/__init__.py'} {place / 'jobs/lowmem_jobs'}"
    if done.stdout.strip() != expected:
        sys.exit(f"{place} is no checkout of lowmem: {done.stdout or done.stderr}")


def described(place: Path) -> str:
    """Return which commit a checkout stands at, and whether it was changed since."""
    line = ["git", "-C", str(place), "describe", "--always", "--dirty"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not of git"

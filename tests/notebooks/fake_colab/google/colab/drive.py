"""Stands for Colab's `drive`: a folder that outlives the machine takes Drive's place.

``FAKE_DRIVE`` is that folder. ``FAKE_DRIVE_ENDS`` is how mounting ends: `mounted`,
`unsupported` (a front end that has no Drive), `timeout`, `hangs`.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path


def mount(mountpoint):
    ends = os.environ.get("FAKE_DRIVE_ENDS", "mounted")
    if ends == "unsupported":
        raise NotImplementedError(
            "google.colab.drive is unsupported in this environment"
        )
    if ends == "timeout":
        raise ValueError("mount failed")
    if ends == "hangs":
        threading.Event().wait()
    place = Path(mountpoint)
    if (place / "MyDrive").exists():
        sys.stdout.write(f"Drive already mounted at {mountpoint}\n")
        return
    place.mkdir()
    (place / "MyDrive").symlink_to(os.environ["FAKE_DRIVE"])
    sys.stdout.write(f"Mounted at {mountpoint}\n")

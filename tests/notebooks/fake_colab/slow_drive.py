"""The mounted Drive as the mirror sees it: slow, and its listings lag behind.

Takes the place of fsspec's local files in every process of a simulated machine.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "faults"))

from faulty_mirror import FaultyFileSystem

ENTRY_POINT = "[fsspec.specs]\nfile = slow_drive:SlowDrive\n"
# seconds that each look and each write takes.
_SLOWNESS_S = 0.02


class SlowDrive(FaultyFileSystem):
    protocol = ("file", "local")

    def _faults(self, *, writes=False):
        time.sleep(_SLOWNESS_S)
        # So that a test can tell that the mirror went through here.
        Path(os.environ["FAKE_DRIVE"], ".touched").touch()
        return super()._faults(writes=writes)

"""What a commit takes beside the state: no second copy of an array."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.memory, pytest.mark.process, pytest.mark.slow]

ARRAY_BYTES = 200 * 2**20
# The blocks of NumPy's writer, twice over, and what is read back.
MOST_BYTES = 48 * 2**20
# A small commit first loads what every commit needs; the kernel's peak begins anew.
PROGRAM = """
import pathlib, re, sys
import numpy as np
import lowmem

def told(field):
    text = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(re.search(field + r":\\s+(\\d+)", text)[1])

array = np.arange(int(sys.argv[1]) // 8, dtype=float)
array = {"C": lambda: array, "F": lambda: array.reshape(-1, 4).T,
         "every other": lambda: array.reshape(-1, 4)[:, ::2]}[sys.argv[2]]()
with lowmem.Checkpoint("ckpt") as checkpoint:
    checkpoint.commit({"x": np.zeros(3)})
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    before = told("VmRSS")
    checkpoint.commit({"x": array})
print(told("VmHWM") - before)
"""


@pytest.mark.parametrize("layout", ["C", "F", "every other"])
def test_a_commit_makes_no_copy_of_an_array(tmp_path, layout):
    words = [sys.executable, "-c", PROGRAM, str(ARRAY_BYTES), layout]
    done = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < MOST_BYTES

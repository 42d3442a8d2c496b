"""`lowmem run encode --encoder`, killed by SIGKILL and begun again, as a person types it."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from tests.processes.lowmem_runs import lowmem

pytestmark = [pytest.mark.process, pytest.mark.slow]

# At the third block of lines all is killed, the first time.
FUNCTION = """
import os, signal
from pathlib import Path
import numpy as np


class Counts:
    def __init__(self, weights):
        self.letters = weights.read_text()

    def __call__(self, lines):
        if lines[0].startswith("line 2080 ") and not Path("second").exists():
            Path("second").touch()
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        rows = [[line.count(one) for one in self.letters] for line in lines]
        return np.array(rows, np.float32)
"""


def test_text_encoded_by_a_function_and_killed_has_each_line_and_no_other_code(
    tmp_path,
):
    (tmp_path / "own.py").write_text(FUNCTION)
    (tmp_path / "letters").write_text("e1")
    lines = [f"line {row} {'e' * (row % 7)}" for row in range(3000)]
    (tmp_path / "lines.txt").write_text("\n".join(lines))
    words = ["run", "encode", "--encoder", "own.py:Counts", "--weights", "letters"]
    words += ["--source", "lines.txt", "--cycle-steps", 1, "--set", "read_rows=64"]
    first = lowmem(*words, cwd=tmp_path)
    assert first.status == -9, first
    # What was committed was made by this code: another one does not go on with it.
    (tmp_path / "own.py").write_text(FUNCTION + "# another\n")
    refused = lowmem(*words, cwd=tmp_path)
    assert refused.status == 2, refused
    assert "encoder" in refused.paragraph, refused
    (tmp_path / "own.py").write_text(FUNCTION)
    second = lowmem(*words, cwd=tmp_path)
    assert second.status == 0, second
    z = zarr.open_array(tmp_path / "lowmem-work" / "latents.zarr" / "z", mode="r")
    expected = [[line.count("e"), line.count("1")] for line in lines]
    np.testing.assert_array_equal(z[:], expected)

"""`lowmem map`, killed with its supervisor and gone on with, as a person types it."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from lowmem.report.status import statuses
from lowmem.stores.row_writer import RowWriter
from tests.processes.lowmem_runs import lowmem

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Of each row two megabytes, so that eight of them are a block. At the last block all is
# killed, the first time.
FUNCTION = """
import os, signal
import numpy as np

def spread(rows):
    if rows[0, 0] == 16 and not os.path.exists("second"):
        open("second", "w").close()
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return np.repeat(rows[:, :1], 2**18, axis=1)
"""


def test_a_map_killed_before_its_last_block_reads_nothing_but_what_is_left(tmp_path):
    (tmp_path / "own.py").write_text(FUNCTION)
    values = np.arange(48.0).reshape(24, 2)[:, :1] / 2
    writer = RowWriter.open(
        tmp_path / "rows.zarr", "rows", row_shape=(1,), dtype="f8", chunk_rows=8
    )
    for start in (0, 8, 16):
        writer.append(values[start : start + 8])
    writer.flush()
    words = ["map", "own.py:spread", "rows.zarr", "lowmem-work/wide.zarr"]
    words += ["--cycle-steps", 1, "--set", "rows=8", "--codec", "zstd"]
    first = lowmem(*words, cwd=tmp_path)
    assert first.status == -9, first
    # Of the first chunk nothing is read again but its checksum: the data are the same.
    chunk = tmp_path / "rows.zarr" / "rows" / "c.0.0"
    chunk.write_bytes(b"\xff" * 64 + chunk.read_bytes()[-4:])
    space = Workspace.at(tmp_path / "lowmem-work")
    told = statuses(read_report(space, is_live=False))["map-wide"]
    typed = "lowmem map own.py:spread rows.zarr lowmem-work/wide.zarr --cycle-steps 1"
    assert (told.next_command or "").startswith(typed)
    second = lowmem(*words, cwd=tmp_path)
    assert second.status == 0, second
    result = zarr.open_array(tmp_path / "lowmem-work" / "wide.zarr" / "wide", mode="r")
    assert result.shape == (24, 2**18)
    np.testing.assert_array_equal(result[:, :: 2**16], np.repeat(values, 4, axis=1))

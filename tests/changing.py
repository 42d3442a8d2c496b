"""Functions of rows that change the source under the job which calls them, once.

The sources lie in the current folder: rows.txt, rows.npy, rows.zarr.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import zarr

N_ROWS = 300
VALUES = np.arange(2.0 * N_ROWS, dtype=np.float32).reshape(N_ROWS, 2)
# Which one begins a block and is not among those that a function is tried with.
ROW = 144
# What is to be done, and then that it was.
acts = []


def of_lines(lines):
    """The number in each line."""
    if lines[0] == f"line {ROW}":
        changed("rows.txt")
    return np.array([[float(line.split()[1])] for line in lines])


def of_rows(rows):
    """Twice each row."""
    if rows[0, 0] == VALUES[ROW, 0]:
        changed(acts[-1])
    return rows * np.float32(2)


def changed(act):
    acts.append("changed")
    if act == "rows.txt":
        file = Path("rows.txt")
        file.write_text("line 0\n" + file.read_text())
    elif act == "written":
        np.lib.format.open_memmap("rows.npy", "r+")[200:] = -1
    elif act == "cut":
        os.truncate("rows.npy", Path("rows.npy").stat().st_size - 800)
    elif act == "replaced":
        np.save("other.npy", -VALUES)
        Path("other.npy").rename("rows.npy")
    elif act == "gone":
        Path("rows.npy").unlink()
    elif act == "store":
        shutil.rmtree("rows.zarr")
        write_store(-VALUES)


def write_store(values):
    array = zarr.create_array(
        "rows.zarr", shape=values.shape, dtype=values.dtype, chunks=(48, 2)
    )
    array[:] = values

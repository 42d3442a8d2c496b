"""What reading takes: however many rows there are, and however they are stored."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import zarr

from lowmem.stores.row_writer import RowWriter

ROW_SHAPE, CHUNK_ROWS, N_CHUNKS = (96, 96, 3), 128, 16
CHUNK_BYTES = CHUNK_ROWS * 96 * 96 * 3
# Reads every row once, in shuffled batches; prints the kernel's own peak.
READ = """
import pathlib, re, sys
from lowmem.stores.batches import open_batches
from lowmem.stores.epoch_order import EpochOrder

store, n, step = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with open_batches(store, "images", batch_rows=128, spill_folder=store.parent) as reader:
    order = EpochOrder(n_rows=n, seed=1, epoch=0)
    for start in range(0, n, step):
        reader.read(order.rows(start, start + 128))
status = pathlib.Path("/proc/self/status").read_text()
print(1024 * int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]))
"""


def write_store(folder, codec):
    writer = RowWriter.open(
        folder, "images", row_shape=ROW_SHAPE, dtype=np.uint8, chunk_rows=CHUNK_ROWS,
        codec=codec,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for _ in range(N_CHUNKS):
        # Four bits of eight are noise, so that a chunk takes half its size.
        writer.append(rng.integers(0, 16, (CHUNK_ROWS, *ROW_SHAPE), np.uint8))
    writer.flush()
    return folder


def peak_bytes(store, *, n=N_CHUNKS * CHUNK_ROWS, step=128) -> int:
    command = [sys.executable, "-c", READ, str(store), str(n), str(step)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.slow
@pytest.mark.memory
@pytest.mark.process
def test_decoding_takes_the_memory_of_four_chunks_beside_that_of_plain_reading(
    tmp_path,
):
    plain = peak_bytes(write_store(tmp_path / "none.zarr", "none"))
    decoding = peak_bytes(write_store(tmp_path / "lz4.zarr", "lz4"))
    # Two threads, each with a chunk as stored and as decoded: the bound of the plan.
    assert decoding - plain < 4 * CHUNK_BYTES


def write_pixels(folder, n_chunks):
    """Write images of one pixel each: as many files as images of any size have."""
    array = zarr.create_array(
        folder / "images", shape=(n_chunks * CHUNK_ROWS, 1, 1, 1), dtype="u1",
        chunks=(CHUNK_ROWS, 1, 1, 1), compressors=None,
        chunk_key_encoding={"name": "default", "separator": "."},
    )  # fmt: skip
    array[:CHUNK_ROWS] = 1
    for chunk in range(1, n_chunks):
        name = array.metadata.encode_chunk_key((chunk, 0, 0, 0))
        os.link(folder / "images" / "c.0.0.0.0", folder / "images" / name)
    return folder


@pytest.mark.slow
@pytest.mark.memory
@pytest.mark.process
def test_a_million_images_are_read_in_the_memory_of_fifty_thousand(tmp_path):
    few, many = 391, 7813
    stores = {
        n_chunks: write_pixels(tmp_path / f"{n_chunks}.zarr", n_chunks)
        for n_chunks in (few, many)
    }
    # The smaller of two: how many pages of its libraries a process maps varies.
    small, large = (
        min(
            peak_bytes(store, n=n_chunks * CHUNK_ROWS, step=16 * CHUNK_ROWS)
            for _ in range(2)
        )
        for n_chunks, store in stores.items()
    )
    assert large < 1.02 * small

"""What `reader.py` reads, and the readers that it compares."""

from __future__ import annotations

import mmap
import os
import resource
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SHAPE = (96, 96, 3)
ROW_BYTES = 27_648
BATCH, CHUNK, WINDOW = 128, 128, 4096


# --- the data ---------------------------------------------------------------------


def blocks(n: int) -> Iterator[np.ndarray]:
    """Yield chunks of images: coarse patterns with noise, so that lz4 halves them."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (256, 12, 12, 3), dtype=np.uint8)
    coarse = coarse.repeat(8, 1).repeat(8, 2)
    noise = rng.integers(0, 8, (CHUNK, *SHAPE), dtype=np.uint8)
    for start in range(0, n, CHUNK):
        size = min(CHUNK, n - start)
        yield coarse[rng.integers(0, 256, size)] ^ noise[rng.permutation(CHUNK)[:size]]


def write_store(path: Path, n: int, codec: str) -> None:
    """Write a store of ``n`` images."""
    from lowmem.stores.row_writer import RowWriter

    writer = RowWriter.open(
        path, "images", row_shape=SHAPE, dtype="u1", chunk_rows=CHUNK, codec=codec
    )
    for block in blocks(n):
        writer.append(block)


def write_tfrecord(path: Path, n: int) -> None:
    """Write the images as TFRecord."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for block in blocks(n):
            for row in block:
                writer.write(row.tobytes())


def write_hdf5(path: Path, n: int) -> None:
    """Write the images as one contiguous HDF5 data set."""
    import h5py

    with h5py.File(path, "w") as file:
        images = file.create_dataset("images", (n, *SHAPE), "u1")
        for index, block in enumerate(blocks(n)):
            images[index * CHUNK : index * CHUNK + len(block)] = block


# --- readers: each yields the sizes of its batches, epoch after epoch, for ever -----


def in_ram(folder: Path) -> Iterator[int]:
    """Fancy indexing of an array."""
    from lowmem.stores.epoch_order import epoch_order
    from lowmem.stores.row_reader import RowReader

    with RowReader.open(folder / "none.zarr", "images") as reader:
        images = reader.read(0, reader.shape[0])
    for epoch in range(10**9):
        order = epoch_order(n_rows=len(images), seed=1, epoch=epoch)
        for start in range(0, len(order), BATCH):
            yield len(images[order[start : start + BATCH]])


def ours(
    folder: Path, *, store: str = "none.zarr", run_length: int = 1
) -> Iterator[int]:
    """Read with lowmem."""
    from lowmem.stores.batches import open_batches
    from lowmem.stores.epoch_order import EpochOrder
    from lowmem.stores.metadata import read_array_info

    n = read_array_info(folder / store / "images").shape[0]
    with open_batches(
        folder / store, "images", batch_rows=BATCH, spill_folder=folder
    ) as reader:
        for epoch in range(10**9):
            order = EpochOrder(n_rows=n, seed=1, epoch=epoch, run_length=run_length)
            for start in range(0, n, BATCH):
                yield len(reader.read(order.rows(start, start + BATCH)))


def bare_preadv(folder: Path) -> Iterator[int]:
    """Nothing but a `preadv` for each row, into one buffer: the kernel's share."""
    from lowmem.stores.metadata import read_array_info

    path = folder / "none.zarr" / "images"
    n = read_array_info(path).shape[0]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    files = [os.open(path / f"c.{i}.0.0.0", os.O_RDONLY) for i in range(-(-n // CHUNK))]
    buffer, rng = memoryview(bytearray(BATCH * ROW_BYTES)), np.random.default_rng(0)
    places = [buffer[i * ROW_BYTES : (i + 1) * ROW_BYTES] for i in range(BATCH)]
    while True:
        order = rng.permutation(n)
        for start in range(0, n, BATCH):
            rows = order[start : start + BATCH].tolist()
            for place, row in zip(places, rows, strict=False):
                offset = row % CHUNK * ROW_BYTES
                os.preadv(files[row // CHUNK], (place,), offset)
            yield len(rows)


def bare_map(folder: Path) -> Iterator[int]:
    """Map a file into memory, and give its pages back after each batch."""
    import h5py

    path = folder / "images.h5"
    with h5py.File(path) as file:
        shape, offset = file["images"].shape, file["images"].id.get_offset()
    with path.open("rb") as file:
        pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    images = np.frombuffer(pages, np.uint8, shape[0] * ROW_BYTES, offset)
    images, rng = images.reshape(-1, ROW_BYTES), np.random.default_rng(0)
    out = np.empty((BATCH, ROW_BYTES), np.uint8)
    while True:
        order = rng.permutation(shape[0])
        for start in range(0, shape[0], BATCH):
            rows = order[start : start + BATCH]
            # Any other mode copies once more.
            np.take(images, rows, axis=0, out=out[: len(rows)], mode="clip")
            pages.madvise(mmap.MADV_DONTNEED)
            yield len(rows)


def bare_decoding(folder: Path, threads: int, *, is_spilled: bool = False) -> float:
    """Return the images a second of decompressing each chunk once, and no more.

    Or, where spilled, of writing each to a file as well, 512 KiB at a time, and of reading
    all rows of that file in random order: an epoch without checksums and without us.
    """
    from numcodecs import blosc

    files = sorted((folder / "lz4.zarr" / "images").glob("c.*"))
    out = threading.local()
    n, chunk_bytes = len(files) * CHUNK, CHUNK * ROW_BYTES
    begun = time.perf_counter()
    with (
        tempfile.TemporaryFile(dir=folder, buffering=0) as spilled,
        ThreadPoolExecutor(threads) as workers,
    ):
        if is_spilled:
            os.posix_fallocate(spilled.fileno(), 0, len(files) * chunk_bytes)

        def decode(number: int) -> None:
            if not hasattr(out, "chunk"):
                out.chunk = np.empty(chunk_bytes, np.uint8)
                out.stored = np.empty(2 * chunk_bytes, np.uint8)
            with files[number].open("rb", buffering=0) as file:
                size = file.readinto(out.stored)
            blosc.decompress(out.stored[: size - 4], out.chunk)
            for at in range(0, chunk_bytes * is_spilled, 2**19):
                block = out.chunk[at : at + 2**19]
                os.pwrite(spilled.fileno(), block, number * chunk_bytes + at)

        for _ in workers.map(decode, range(len(files))):
            pass
        if is_spilled:
            _read_rows(spilled.fileno(), n)
        return n / (time.perf_counter() - begun)


def _read_rows(descriptor: int, n: int) -> None:
    """Read each row of a file of rows once, in random order."""
    buffer = memoryview(bytearray(BATCH * ROW_BYTES))
    places = [buffer[i * ROW_BYTES : (i + 1) * ROW_BYTES] for i in range(BATCH)]
    order = np.random.default_rng(0).permutation(n)
    for start in range(0, n, BATCH):
        rows = order[start : start + BATCH].tolist()
        for place, row in zip(places, rows, strict=False):
            os.preadv(descriptor, (place,), row * ROW_BYTES)


def windowed(read: Callable[[int, int], np.ndarray], n: int) -> Iterator[int]:
    """Whole chunks in shuffled order through a window of ``WINDOW`` images."""
    rng = np.random.default_rng(0)
    per_window = WINDOW // CHUNK
    while True:
        starts = rng.permutation(-(-n // CHUNK)) * CHUNK
        for at in range(0, len(starts), per_window):
            group = starts[at : at + per_window]
            window = np.concatenate(
                [read(s, min(s + CHUNK, n)) for s in group.tolist()]
            )
            order = rng.permutation(len(window))
            for start in range(0, len(order), BATCH):
                yield len(window[order[start : start + BATCH]])


def zarr_window(folder: Path) -> Iterator[int]:
    """zarr-python, whole chunks."""
    import zarr

    array = zarr.open_array(folder / "none.zarr/images", mode="r")
    return windowed(lambda a, b: np.asarray(array[a:b]), array.shape[0])


def zarr_naive(folder: Path) -> Iterator[int]:
    """zarr-python, the rows of each batch by their numbers."""
    import zarr

    array = zarr.open_array(folder / "none.zarr/images", mode="r")
    rng = np.random.default_rng(0)
    while True:
        rows = np.sort(rng.permutation(array.shape[0])[:BATCH])
        yield len(array.oindex[rows])


def tensorstore_window(folder: Path) -> Iterator[int]:
    """TensorStore, whole chunks."""
    import tensorstore

    spec = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": str(folder / "none.zarr/images")},
    }
    array = tensorstore.open(spec, read=True).result()
    return windowed(lambda a, b: array[a:b].read().result(), array.shape[0])


def h5py_window(folder: Path) -> Iterator[int]:
    """h5py, contiguous blocks."""
    import h5py

    images = h5py.File(folder / "images.h5")["images"]
    return windowed(lambda a, b: images[a:b], len(images))


def tfrecord(folder: Path) -> Iterator[int]:
    """tf.data over TFRecord, with a shuffle buffer."""
    import tensorflow as tf

    def decode(record: object) -> object:
        return tf.reshape(tf.io.decode_raw(record, tf.uint8), (-1, *SHAPE))

    records = tf.data.TFRecordDataset(str(folder / "images.tfrecord"))
    records = records.shuffle(WINDOW).batch(BATCH).map(decode).repeat().prefetch(2)
    for batch in records:
        yield int(batch.shape[0])


OWN_ROWS: dict[str, tuple[str, Callable[[Path], Iterator[int]], int]] = {
    "ram": ("array in RAM", in_ram, 1),
    "exact": ("lowmem, exact shuffle", ours, 1),
    "runs": ("lowmem, runs of 8", lambda f: ours(f, run_length=8), 1),
    "lz4": ("lowmem, lz4 decoded before", lambda f: ours(f, store="lz4.zarr"), 1),
    "preadv": ("bare loop of preadv", bare_preadv, 1),
    "map": ("map, given back after each batch", bare_map, 1),
    "tensorstore": ("TensorStore, window of 4,096", tensorstore_window, 1),
    "h5py": ("h5py, window of 4,096", h5py_window, 1),
    "zarr": ("zarr-python, window of 4,096", zarr_window, 1),
    "tfrecord": ("tf.data TFRecord, buffer of 4,096", tfrecord, 1),
    "naive": ("zarr-python, rows by number", zarr_naive, 1),
}

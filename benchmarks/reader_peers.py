"""Peers of `reader.py` that may live in an environment of their own, each at its best.

Settings were tried on one core: one reading thread of Grain was faster than 2 or 16 or
none, one process of litdata faster than none, `__getitems__` of PyTorch three times as
fast as one item at a time. Each shuffles in its own way, which its row tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from reader_data import BATCH, SHAPE, blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CHUNK_BYTES = "64MB"


def write_npy(path: Path, n: int) -> None:
    """Write the images as one NumPy file."""
    import torch  # noqa: F401 - nobody else reads it

    images = np.lib.format.open_memmap(path, "w+", "u1", (n, *SHAPE))
    start = 0
    for block in blocks(n):
        images[start : start + len(block)] = block
        start += len(block)


def write_litdata(path: Path, n: int) -> None:
    """Write the images as litdata's chunks, uncompressed."""
    from litdata.streaming.cache import Cache

    path.mkdir()
    cache = Cache(str(path), chunk_bytes=_CHUNK_BYTES)
    rows = (row for block in blocks(n) for row in block)
    for index, row in enumerate(rows):
        cache[index] = {"image": row}
    cache.done()
    cache.merge()


def write_arrayrecord(path: Path, n: int) -> None:
    """Write the images as ArrayRecord, one a group as random access wants it."""
    import grain  # noqa: F401 - nobody else reads it
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
    for block in blocks(n):
        for row in block:
            writer.write(row.tobytes())
    writer.close()


def torch_memmap(folder: Path) -> Iterator[int]:
    """PyTorch's DataLoader over a memory-mapped file, a batch at a time."""
    import torch

    class Images(torch.utils.data.Dataset):
        def __init__(self) -> None:
            self.rows = np.load(folder / "images.npy", mmap_mode="r")

        def __len__(self) -> int:
            return len(self.rows)

        def __getitems__(self, numbers: list[int]) -> torch.Tensor:
            return torch.from_numpy(self.rows[numbers])

    loader = torch.utils.data.DataLoader(
        Images(), batch_size=BATCH, shuffle=True, collate_fn=lambda batch: batch
    )
    while True:
        for batch in loader:
            yield len(batch)


def litdata(folder: Path) -> Iterator[int]:
    """Streaming loader of litdata on a local folder."""
    from litdata import StreamingDataLoader, StreamingDataset

    images = StreamingDataset(str(folder / "images.litdata"), shuffle=True, seed=1)
    loader = StreamingDataLoader(images, batch_size=BATCH, num_workers=1)
    while True:
        for batch in loader:
            yield len(batch["image"])


def grain(folder: Path) -> Iterator[int]:
    """Grain over ArrayRecord."""
    import grain as library

    def image(record: bytes) -> np.ndarray:
        return np.frombuffer(record, np.uint8).reshape(SHAPE)

    files = library.sources.ArrayRecordDataSource([str(folder / "images.arrayrecord")])
    images = library.MapDataset.source(files).seed(1).shuffle().map(image)
    options = library.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    for batch in images.batch(BATCH).repeat().to_iter_dataset(options):
        yield len(batch)


# What each row reads, how it is written, and the row itself.
PEERS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "torch": ("images.npy", write_npy),
    "litdata": ("images.litdata", write_litdata),
    "grain": ("images.arrayrecord", write_arrayrecord),
}
PEER_ROWS: dict[str, tuple[str, Callable[[Path], Iterator[int]], int]] = {
    "torch": ("torch DataLoader, memmap, exact", torch_memmap, 1),
    "litdata": ("litdata, chunks of 64 MB", litdata, 1),
    "grain": ("Grain, ArrayRecord, exact", grain, 1),
}

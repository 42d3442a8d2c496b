"""Append rows to a Zarr array so that what was committed is never written again.

Every chunk is one file, whole chunks are appended, and a commit may only fall between
them. Reopening with the number of committed rows forgets whatever came later, so a
writer that was killed continues as if nothing had happened. Zarr never forces anything
to the disk; `RowWriter.flush` does.

Chunk files end in a CRC-32C, and are written even where they hold only the fill value:
a missing or altered chunk is always damage, never a guess.
"""

# NumPy's own array types are generic in Any.
from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

from lowmem.base.files import make_folder, remove, storage_errors, sync_file, write_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray
    from zarr.core.buffer import Buffer
    from zarr.core.common import JSON
    from zarr.core.metadata import ArrayV3Metadata

    ZarrArray = zarr.Array[ArrayV3Metadata]

CodecName = Literal["none", "lz4", "zstd"]

# Attribute of an array whose every chunk exists as a file.
WHOLE_ATTRIBUTE = "lowmem_every_chunk_is_stored"

_METADATA = "zarr.json"
# All chunk files in one folder: c.0.0.0.0, c.1.0.0.0, ... With the default separator
# each would lie alone in a folder of its own, three deep, to be synced one by one.
_SEPARATOR = "."


class RowWriter:
    """The one writer of an array that grows along axis 0.

    Attributes
    ----------
    n_rows
        Number of rows written so far.
    """

    def __init__(self, path: Path, array: ZarrArray) -> None:
        self._path = path
        self._array = array
        # The first flush also makes durable what opening wrote.
        self._unsynced: set[Path] = {path / _METADATA, path.parent / _METADATA}

    @classmethod
    def open(
        cls,
        store: Path,
        name: str,
        *,
        row_shape: Sequence[int],
        dtype: DTypeLike,
        chunk_rows: int,
        n_rows: int = 0,
        codec: CodecName = "none",
        attributes: Mapping[str, object] | None = None,
    ) -> Self:
        """Create an array, or reopen it and forget all but its first ``n_rows`` rows.

        Parameters
        ----------
        store
            Folder of the group, created where it is missing.
        name
            Name of the array within the group.
        row_shape
            Shape of one row.
        dtype
            Element type; ``"str"`` for text of any length.
        chunk_rows
            Rows in one chunk file.
        n_rows
            Rows that were committed: a multiple of ``chunk_rows`` unless all is written.
        codec
            Compression of the chunks.
        attributes
            The user attributes; those of an earlier writer are forgotten.
        """
        path = store / name
        make_folder(path)
        if not (store / _METADATA).exists():
            write_group_attributes(store, {})
        _forget_rows(path, n_whole=-(-n_rows // chunk_rows))
        write_file(
            path / _METADATA,
            _metadata(
                shape=(n_rows, *row_shape),
                chunks=(chunk_rows, *row_shape),
                dtype=dtype,
                codec=codec,
                attributes={**(attributes or {}), WHOLE_ATTRIBUTE: True},
            ),
        )
        with zarr.config.set({"array.write_empty_chunks": True}):
            return cls(path, cast("ZarrArray", zarr.open_array(path, mode="r+")))

    @property
    def n_rows(self) -> int:
        """Number of rows written so far."""
        return int(self._array.shape[0])

    def append(self, rows: NDArray[Any]) -> None:
        """Write ``rows``: exactly one chunk, or fewer for the last one of all.

        Raises
        ------
        ValueError
            If ``rows`` does not fit into the next chunk.
        """
        chunk_rows = int(self._array.chunks[0])
        if self.n_rows % chunk_rows or not 0 < len(rows) <= chunk_rows:
            raise ValueError(
                f"rows must be 1 to {chunk_rows} and follow whole chunks, "
                f"got {len(rows)} after {self.n_rows}"
            )
        key = (self.n_rows // chunk_rows, *(0 for _ in self._array.shape[1:]))
        with storage_errors(self._path):
            self._array.append(rows)
        self._unsynced.add(self._path / self._array.metadata.encode_chunk_key(key))
        self._unsynced.add(self._path / _METADATA)

    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Add user attributes to the array; call it after the last row."""
        with storage_errors(self._path):
            self._array.attrs.update(_json(attributes))
        self._unsynced.add(self._path / _METADATA)

    def flush(self) -> None:
        """Wait until all that was written is on the disk."""
        for file in sorted(self._unsynced):
            sync_file(file)
        # Array, group, and the folder that gained the group.
        for folder in (self._path, *self._path.parents[:2]):
            sync_file(folder)
        self._unsynced.clear()


def write_group_attributes(store: Path, attributes: Mapping[str, object]) -> None:
    """Make ``store`` a group with these user attributes, durably."""
    document = {
        "zarr_format": 3,
        "node_type": "group",
        "attributes": dict(attributes),
    }
    make_folder(store)
    write_file(store / _METADATA, json.dumps(document, indent=2).encode())


def _forget_rows(path: Path, *, n_whole: int) -> None:
    """Delete every file but the first ``n_whole`` chunks."""
    for file in path.iterdir():
        index = file.name.split(_SEPARATOR)[1:2]
        is_chunk = file.name.startswith("c.") and not file.name.endswith(".partial")
        if not (is_chunk and int(index[0]) < n_whole):
            remove(file)


def _metadata(
    *,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: DTypeLike,
    codec: CodecName,
    attributes: Mapping[str, object],
) -> bytes:
    """Return what Zarr would write as the metadata of a new array.

    Zarr itself can only create an array by deleting the one that is there.
    """
    memory: dict[str, Buffer] = {}
    zarr.create_array(
        memory,
        shape=shape,
        chunks=chunks,
        dtype=dtype,
        compressors=[*_compressors(codec, dtype), Crc32cCodec()],
        chunk_key_encoding={"name": "default", "separator": _SEPARATOR},
        attributes=_json(attributes),
    )
    return memory[_METADATA].to_bytes()


def _json(attributes: Mapping[str, object]) -> dict[str, JSON]:
    return cast("dict[str, JSON]", dict(attributes))


def _compressors(codec: CodecName, dtype: DTypeLike) -> list[BloscCodec | ZstdCodec]:
    if codec == "none":
        return []
    if dtype == "str":
        return [ZstdCodec(level=3)]
    size = np.dtype(dtype).itemsize
    level = 5 if codec == "lz4" else 3
    return [BloscCodec(cname=codec, clevel=level, shuffle="bitshuffle", typesize=size)]

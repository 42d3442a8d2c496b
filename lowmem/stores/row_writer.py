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
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lowmem.base.files import (
    begin_writing_out,
    make_folder,
    remove,
    storage_errors,
    sync_file,
    write_file,
)
from lowmem.stores.chunk_encoder import ChunkEncoder, codecs_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from io import FileIO
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

# Attribute of an array whose every chunk exists as a file.
WHOLE_ATTRIBUTE = "lowmem_every_chunk_is_stored"

_METADATA = "zarr.json"
# All chunk files in one folder: c.0.0.0.0, c.1.0.0.0, ... With the default separator
# each would lie alone in a folder of its own, three deep, to be synced one by one.
_SEPARATOR = "."
# By the kind of the element type.
_FILL_VALUES = {"b": False, "i": 0, "u": 0, "f": 0.0}
# The kernel takes four times as long to take in megabytes at once.
_WRITE_BYTES = 2**18


class RowWriter:
    """The one writer of an array that grows along axis 0.

    Attributes
    ----------
    n_rows
        Number of rows written so far.
    """

    def __init__(
        self, path: Path, document: dict[str, Any], encoder: ChunkEncoder
    ) -> None:
        self._path = path
        self._document = document
        self._around_rows = _around_rows(document)
        self._encoder = encoder
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
        codec: str = "none",
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
        chunk_shape = (chunk_rows, *row_shape)
        document = _metadata(
            shape=(n_rows, *row_shape),
            chunks=chunk_shape,
            dtype=dtype,
            codec=codec,
            attributes={**(attributes or {}), WHOLE_ATTRIBUTE: True},
        )
        write_file(path / _METADATA, _text(document))
        return cls(path, document, ChunkEncoder(codec, dtype, chunk_shape))

    @property
    def n_rows(self) -> int:
        """Number of rows written so far."""
        return int(self._document["shape"][0])

    def append(self, rows: NDArray[Any]) -> None:
        """Write ``rows``: exactly one chunk, or fewer for the last one of all.

        Raises
        ------
        ValueError
            If ``rows`` does not fit into the next chunk.
        """
        shape = self._document["shape"]
        chunk_rows = int(
            self._document["chunk_grid"]["configuration"]["chunk_shape"][0]
        )
        if shape[0] % chunk_rows or not 0 < len(rows) <= chunk_rows:
            raise ValueError(
                f"rows must be 1 to {chunk_rows} and follow whole chunks, "
                f"got {len(rows)} after {shape[0]}"
            )
        key = (shape[0] // chunk_rows, *(0 for _ in shape[1:]))
        file = self._path / _SEPARATOR.join(("c", *map(str, key)))
        data, checksum = self._encoder.encode(rows)
        # Never one that is there: another store may hold the same file by a second name.
        with storage_errors(file), file.open("xb", buffering=0) as stream:
            _write_all(stream, data.data)
            _write_all(stream, checksum)
            begin_writing_out(stream)
        shape[0] += len(rows)
        self._write_metadata()
        self._unsynced.add(file)

    def set_attributes(self, attributes: Mapping[str, object]) -> None:
        """Add user attributes to the array; call it after the last row."""
        self._document["attributes"].update(attributes)
        self._around_rows = _around_rows(self._document)
        self._write_metadata()

    def _write_metadata(self) -> None:
        """Tell readers of what was written; a crash may still undo it.

        In place: to rename over a file makes the system write it out at once, which
        takes as long as a chunk.
        """
        file = self._path / _METADATA
        with storage_errors(file), file.open("r+b", buffering=0) as stream:
            _write_all(stream, str(self.n_rows).encode().join(self._around_rows))
            stream.truncate()
        self._unsynced.add(file)

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
    write_file(store / _METADATA, _text(document))


def _text(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode()


def _around_rows(document: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Return the text of metadata before and after the number of rows.

    To set out all of it for each chunk would take as long as a third of an image.
    """
    open_shape = {**document, "shape": [None, *document["shape"][1:]]}
    before, _, after = _text(open_shape).partition(b"null")
    return before, after


def _write_all(stream: FileIO, data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[stream.write(rest[:_WRITE_BYTES]) :]


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
    codec: str,
    attributes: Mapping[str, object],
) -> dict[str, Any]:
    """Return what Zarr would write as the metadata of a new array.

    Zarr itself could only create an array by deleting the one that is there, and loading
    it takes a third of a second, and 10 MB of a process that packs.
    """
    is_text = dtype == "str"
    kind = np.dtype(dtype).kind
    return {
        "shape": list(shape),
        "data_type": "string" if is_text else np.dtype(dtype).name,
        "chunk_grid": {
            "name": "regular",
            "configuration": {"chunk_shape": list(chunks)},
        },
        "chunk_key_encoding": {
            "name": "default",
            "configuration": {"separator": _SEPARATOR},
        },
        "fill_value": "" if is_text else _FILL_VALUES[kind],
        "codecs": codecs_of(codec, dtype),
        "attributes": dict(attributes),
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }

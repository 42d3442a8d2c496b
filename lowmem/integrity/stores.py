"""What a Zarr store holds, and which of its chunks are not as written: no Zarr, no NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.integrity.chunks import layouts_in, sums_of
from lowmem.stores.metadata import read_array_info, read_mapping

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lowmem.integrity.chunks import Layout

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
_CRC = "crc32c"
_UNCOMPRESSED = ("bytes", "vlen-utf8", "transpose", _CRC)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySummary:
    """One array of a store.

    Attributes
    ----------
    name
        Path within the store; empty where the store is the array.
    shape, chunk_shape
        Lengths along all axes.
    codec
        How chunks are compressed; ``none`` if they are not.
    has_checksums
        Whether every chunk ends in a CRC-32C.
    n_files, stored_bytes
        Files with data, and their size together.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    chunk_shape: tuple[int, ...]
    codec: str
    has_checksums: bool
    n_files: int
    stored_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSummary:
    """A store: its arrays, and what its attributes tell of where it came from."""

    path: str
    arrays: tuple[ArraySummary, ...]
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadChunk:
    """A chunk that is not as it was written.

    Attributes
    ----------
    path
        Its file.
    samples
        Which samples it holds, in words.
    problem
        What is wrong with it.
    """

    path: str
    samples: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCheck:
    """What a check of all chunks of a store has found.

    Attributes
    ----------
    n_chunks
        Chunks that were read and held against their checksum.
    unchecked
        Arrays whose chunks have none.
    """

    n_chunks: int
    unchecked: tuple[str, ...]
    bad: tuple[BadChunk, ...]


def summary_of(store: Path) -> StoreSummary:
    """Return what a store holds, from its metadata and the sizes of its files.

    Raises
    ------
    DataError
        If there is no Zarr store of format 2 or 3, or its metadata cannot be read.
    """
    files = [file for name in _METADATA for file in store.rglob(name)]
    folders = sorted({file.parent for file in files})
    arrays = tuple(filter(None, (_array(store, folder) for folder in folders)))
    if not arrays:
        raise DataError(
            thing=store,
            problem="holds no array" if store.exists() else "is missing",
            expected="a Zarr store of format 2 or 3",
        )
    return StoreSummary(path=str(store), arrays=arrays, attributes=_attributes(store))


def _array(store: Path, folder: Path) -> ArraySummary | None:
    info = read_array_info(folder)
    if info is None:
        return None
    names = _codecs(folder)
    sizes = [
        file.stat().st_size
        for file in folder.rglob("*")
        if file.is_file() and file.name not in _METADATA
    ]
    name = folder.relative_to(store).as_posix()
    packing = [name for name in names if name not in _UNCOMPRESSED]
    return ArraySummary(
        name="" if name == "." else name,
        shape=info.shape,
        dtype=info.dtype,
        chunk_shape=info.chunk_shape,
        codec=" + ".join(packing) or "none",
        has_checksums=_CRC in names,
        n_files=len(sizes),
        stored_bytes=sum(sizes),
    )


def _codecs(folder: Path) -> list[str]:
    """Return the names of the codecs of an array; those of blosc with their own."""
    v3, v2 = folder / "zarr.json", folder / ".zarray"
    if v3.exists():
        codecs = read_mapping(v3).get("codecs")
        return [_codec(entry) for entry in codecs] if isinstance(codecs, list) else []
    compressor = read_mapping(v2).get("compressor")
    return [str(compressor.get("id"))] if isinstance(compressor, dict) else []


def _codec(entry: object) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    inner = entry.get("configuration")
    cname = inner.get("cname") if isinstance(inner, dict) else None
    return f"{entry.get('name')}-{cname}" if cname else str(entry.get("name"))


def _attributes(store: Path) -> Mapping[str, object]:
    v3, v2 = store / "zarr.json", store / ".zattrs"
    if v3.exists():
        found = read_mapping(v3).get("attributes", {})
        return found if isinstance(found, dict) else {}
    return read_mapping(v2) if v2.exists() else {}


def check_store(store: Path) -> StoreCheck:
    """Read every chunk that has a checksum, and say which are not as written.

    Raises
    ------
    DataError
        If there is no store.

    Notes
    -----
    Memory: 1 MiB and what was found. Time: one read of the store.
    """
    summary = summary_of(store)
    found = [pair for layout in layouts_in(store) for pair in _checked(store, layout)]
    return StoreCheck(
        n_chunks=sum(n for n, _ in found),
        unchecked=tuple(a.name for a in summary.arrays if not a.has_checksums),
        bad=tuple(bad for _, bad in found if bad is not None),
    )


def _checked(store: Path, layout: Layout) -> Iterator[tuple[int, BadChunk | None]]:
    for path, row in layout.files():
        is_there = path.is_file()
        problem = ""
        if not is_there and layout.is_complete:
            problem = "is missing"
        elif is_there and not sums_of(path).ends_in_crc:
            problem = "was altered: its CRC-32C is not that of its bytes"
        bad = BadChunk(
            path=str(path.relative_to(store)),
            samples=layout.samples(row),
            problem=problem,
        )
        yield int(is_there), bad if problem else None

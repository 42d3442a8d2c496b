"""What a Zarr store holds, read from its JSON alone: no Zarr, no NumPy.

The planner predicts memory from shapes, and must stay a small process; Zarr's own
reader is used wherever data are read.
"""

# A JSON document is what it is until it is parsed below.
from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import DataError
from lowmem.base.errors_outside import UnreadableTextError
from lowmem.base.outside import open_regular, read_json, refuse_unless_regular
from lowmem.stores.declared_size import refuse_hollow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")
_SHARDING, _PLAIN = "sharding_indexed", {"bytes", "crc32c"}
_CRC_BYTES = 4
# Format 2 has no place for names of axes; xarray keeps them here.
_XARRAYS_AXES = "_ARRAY_DIMENSIONS"
_BLOCK_BYTES = 2**20
_FORMERLY_WHOLE_BYTES = 2**26


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayInfo:
    """Shape and layout of one array.

    Attributes
    ----------
    shape
        Lengths along all axes; axis 0 counts the samples.
    dtype
        NumPy's name of the element type, such as ``uint8`` or ``<f4``.
    chunk_shape
        Lengths of one chunk (of one shard, where the array is sharded).
    attributes
        The user attributes.
    rows_at_once
        Rows that are decoded together: of a chunk; of an inner one, where sharded.
    is_compressed
        Whether anything else than bytes and their checksum is stored.
    fill_value
        What stands for values that are not stored.
    axes
        Names of the axes; empty where the store has none.
    """

    shape: tuple[int, ...]
    dtype: str
    chunk_shape: tuple[int, ...]
    attributes: Mapping[str, object]
    rows_at_once: int
    is_compressed: bool
    fill_value: object = None
    axes: tuple[str, ...] = ()

    @property
    def item_bytes(self) -> int:
        """Bytes of one element, as its type is called; 0 where that does not say."""
        digits = re.search(r"\d+$", self.dtype)
        if digits is None:
            return 0
        # Zarr 3 counts bits, NumPy's short names bytes.
        n_letters = len(self.dtype[: digits.start()].lstrip("<>|="))
        return int(digits.group()) // (1 if n_letters == 1 else 8)


def read_array_info(path: Path) -> ArrayInfo | None:
    """Return what the array at ``path`` holds; None where there is no array.

    Raises
    ------
    DataError
        If there is metadata that cannot be understood.
    """
    # Zarr itself opens whichever of them is there.
    for name in _METADATA:
        refuse_unless_regular(path / name)
    try:
        info = _info(path)
    except DataError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(
            thing=path,
            problem=f"has metadata that cannot be read ({error!r})",
            expected="a Zarr array of format 2 or 3",
        ) from error
    if info is not None:
        refuse_hollow(path, info.shape, info.chunk_shape, item_bytes=info.item_bytes)
    return info


def read_mapping(file: Path) -> dict[str, Any]:
    """Return the JSON mapping in a file.

    Raises
    ------
    DataError
        If it holds none.
    """
    found = read_json(file)
    if not isinstance(found, dict):
        raise UnreadableTextError(path=file, problem="it holds no mapping")
    return found


def _info(path: Path) -> ArrayInfo | None:
    v3, v2 = path / "zarr.json", path / ".zarray"
    if v3.exists():
        return _info_from_v3(read_mapping(v3))
    if not v2.exists():
        return None
    attributes = path / ".zattrs"
    extra = read_mapping(attributes) if attributes.exists() else {}
    return _info_from_v2(read_mapping(v2), extra)


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} in place of a mapping")
    return value


def _lengths(value: object, *, least: int) -> tuple[int, ...]:
    """Return lengths along all axes, each a whole number from ``least`` on."""
    if not isinstance(value, list):
        raise TypeError(f"{value!r} in place of lengths")
    for length in value:
        if type(length) is not int or length < least:
            raise ValueError(f"the length {length!r}")
    return tuple(value)


def _grid(
    document: Mapping[str, Any], chunk_shape: object
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the lengths of an array and of its chunks, which fit each other."""
    shape = _lengths(document["shape"], least=0)
    chunks = _lengths(chunk_shape, least=1)
    if len(shape) != len(chunks):
        raise ValueError(f"chunks of {len(chunks)} axes in an array of {len(shape)}")
    return shape, chunks


def array_names(group: Path) -> list[str]:
    """Return the names of the arrays that lie in the folder ``group``, in their order."""
    names = sorted(child.name for child in group.iterdir() if child.is_dir())
    return [name for name in names if read_array_info(group / name) is not None]


def _info_from_v3(document: dict[str, Any]) -> ArrayInfo | None:
    if document["node_type"] != "array":
        return None
    shape, chunk_shape = _grid(
        document, document["chunk_grid"]["configuration"]["chunk_shape"]
    )
    codecs, decoded = document.get("codecs", ()), chunk_shape
    if codecs and _name(codecs[0]) == _SHARDING:
        inner = codecs[0]["configuration"]
        codecs = inner["codecs"]
        _, decoded = _grid(document, inner["chunk_shape"])
    return ArrayInfo(
        shape=shape,
        dtype=str(document["data_type"]),
        chunk_shape=chunk_shape,
        attributes=_mapping(document.get("attributes", {})),
        rows_at_once=decoded[0] if decoded else 1,
        is_compressed=any(_name(codec) not in _PLAIN for codec in codecs),
        fill_value=document.get("fill_value"),
        axes=_axes(document.get("dimension_names")),
    )


def _name(codec: str | Mapping[str, Any]) -> str:
    return codec if isinstance(codec, str) else str(codec["name"])


def _axes(names: object) -> tuple[str, ...]:
    """Return the names of axes; one that is not said is empty."""
    return tuple(str(n or "") for n in names) if isinstance(names, list) else ()


def _info_from_v2(
    document: dict[str, Any], attributes: Mapping[str, object]
) -> ArrayInfo:
    shape, chunk_shape = _grid(document, document["chunks"])
    return ArrayInfo(
        shape=shape,
        dtype=str(document["dtype"]),
        chunk_shape=chunk_shape,
        attributes=attributes,
        rows_at_once=chunk_shape[0] if chunk_shape else 1,
        is_compressed=bool(document.get("compressor") or document.get("filters")),
        fill_value=document.get("fill_value"),
        axes=_axes(attributes.get(_XARRAYS_AXES)),
    )


def fingerprint(path: Path) -> str:
    """Return a short hash that changes when the data at ``path`` change.

    Notes
    -----
    Of a folder: the bytes of all Zarr metadata, and the name and size of every other
    file; of each chunk that ends in a CRC-32C, that too, so that it stands for the
    chunk's content. What changes in other chunks and keeps their size is not seen.
    Of a file: its bytes, at some 2 GB/s. No times: a copy is the same data. Where an
    older lowmem saw less, its fingerprint follows behind a dot; see `is_same_data`.
    """
    now, before = hashlib.sha256(), hashlib.sha256()
    for part, former in _parts(path):
        now.update(part)
        before.update(former)
    return two_part(now.hexdigest()[:16], before.hexdigest()[:16])


def two_part(now: str, before: str) -> str:
    """Return a fingerprint with that of an older lowmem, where that is another."""
    return now if now == before else f"{now}.{before}"


def _parts(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield what is told of each file, and what an older lowmem told of it."""
    if not path.is_dir():
        yield from _parts_of_file(path)
        return
    has_sums: dict[Path, bool] = {}
    for folder, folders, names in os.walk(path):
        folders.sort()
        inside = path.__class__(folder)
        own = inside / _METADATA[0]
        # Chunks may lie in folders below their array's.
        above = has_sums.get(inside.parent, False)
        has_sums[inside] = ends_in_crc(own) if own.exists() else above
        for name in sorted(names):
            file = inside / name
            told = str(file.relative_to(path)).encode()
            yield told, told
            refuse_unless_regular(file)
            former = told = file.read_bytes() if name in _METADATA else _size(file)
            if has_sums[inside] and name not in _METADATA:
                told = size_and_crc(file)
            yield told, former


def _parts_of_file(path: Path) -> Iterator[tuple[bytes, bytes]]:
    refuse_unless_regular(path)
    status = path.stat()
    is_small = status.st_size <= _FORMERLY_WHOLE_BYTES
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block, block if is_small else b""
    if not is_small:
        yield b"", f"{status.st_size} {status.st_mtime_ns}".encode()


def ends_in_crc(metadata: Path) -> bool:
    """Return whether the chunks of these metadata end in a CRC-32C of their own."""
    try:
        document = read_mapping(metadata)
        return bool(document["codecs"][-1]["name"] == "crc32c")
    except (OSError, ValueError, LookupError, TypeError):
        return False


def size_and_crc(file: Path) -> bytes:
    """Return the size of a file and its last four bytes, a checksum of the rest."""
    with os.fdopen(open_regular(file), "rb") as stream:
        n_bytes = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, n_bytes - _CRC_BYTES))
        return b"%d " % n_bytes + stream.read()


def _size(file: Path) -> bytes:
    return b"%d" % file.stat().st_size

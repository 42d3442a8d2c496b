"""Zarr stores, written from the specifications of format 2 and 3 without any library."""

from __future__ import annotations

import gzip
import itertools
import json
import struct
import zlib

import google_crc32c
import numpy as np

# Names of types in format 3.
_TYPES = {
    "u1": "uint8",
    "u2": "uint16",
    "i1": "int8",
    "i2": "int16",
    "b1": "bool",
    "f2": "float16",
    "f4": "float32",
    "f8": "float64",
    "i8": "int64",
    "c8": "complex64",
}


def _chunks(array, side, fill):
    """Yield number and content of each chunk, those at the edges filled up."""
    counts = [-(-n // step) for n, step in zip(array.shape, side, strict=True)]
    for number in itertools.product(*map(range, counts)):
        part = array[
            tuple(slice(n * s, n * s + s) for n, s in zip(number, side, strict=True))
        ]
        whole = np.full(side, fill, array.dtype)
        whole[tuple(map(slice, part.shape))] = part
        yield number, whole


def zarr_2(
    path,
    array,
    *,
    chunks=None,
    order="C",
    packing="none",
    separator=".",
    said=None,
    without=(),
    attributes=None,
    filters=None,
    fill=0,
):
    """Write a store of format 2.

    Parameters
    ----------
    packing
        ``none``, ``zlib`` or ``gzip``.
    said
        Of the metadata, what is not as usual; None in place of a value leaves it out.
    without
        Numbers of chunks that are not stored.
    """
    path.mkdir(parents=True)
    side = chunks or (2, *array.shape[1:])
    metadata = {
        "zarr_format": 2, "shape": list(array.shape), "chunks": list(side),
        "dtype": array.dtype.str, "order": order, "fill_value": fill, "filters": filters,
        "compressor": None if packing == "none" else {"id": packing, "level": 1},
        "dimension_separator": separator, **(said or {}),
    }  # fmt: skip
    kept = {name: value for name, value in metadata.items() if value is not ...}
    (path / ".zarray").write_text(json.dumps(kept))
    if attributes is not None:
        (path / ".zattrs").write_text(json.dumps(attributes))
    packed = {"none": bytes, "zlib": zlib.compress, "gzip": gzip.compress}[packing]
    stored_fill = fill if isinstance(fill, int | float) else 0
    for count, (number, chunk) in enumerate(_chunks(array, side, stored_fill)):
        if count in without:
            continue
        place = path / separator.join(map(str, number))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(packed(_filtered(chunk.tobytes(order), array.dtype, filters)))
    return path


def _filtered(data, dtype, filters):
    for one in filters or ():
        assert one["id"] == "delta"
        values = np.frombuffer(data, dtype)
        data = np.diff(values, prepend=values.dtype.type(0)).astype(dtype).tobytes()
    return data


def group_2(path, arrays, **options):
    """Write a group of arrays."""
    path.mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    for name, array in arrays.items():
        zarr_2(path / name, array, **options)
    return path


def zarr_3(
    path,
    array,
    *,
    chunks=None,
    order=None,
    codecs=("bytes",),
    separator="/",
    encoding="default",
    shard=None,
    index_at="end",
    without=(),
    said=None,
    attributes=None,
    fill=0,
):
    """Write a store of format 3; codecs by their names, ``order`` of the axes."""
    path.mkdir(parents=True)
    side = chunks or (2, *array.shape[1:])
    is_big = array.dtype.str.startswith(">")
    listed = _listed(codecs, order, is_big=is_big)
    outer = side
    if shard is not None:
        outer = shard
        index = [
            {"name": "bytes", "configuration": {"endian": "little"}},
            {"name": "crc32c"},
        ]
        listed = [{"name": "sharding_indexed", "configuration": {
            "chunk_shape": list(side), "codecs": listed, "index_codecs": index, "index_location": index_at}}]  # fmt: skip
    metadata = {
        "zarr_format": 3, "node_type": "array", "shape": list(array.shape),
        "data_type": _TYPES[array.dtype.str[1:]], "fill_value": fill,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(outer)}},
        "chunk_key_encoding": {"name": encoding, "configuration": {"separator": separator}},
        "codecs": listed, "attributes": attributes or {}, **(said or {}),
    }  # fmt: skip
    (path / "zarr.json").write_text(json.dumps(metadata))
    number_fill = fill if isinstance(fill, int | float) else 0
    for count, (number, chunk) in enumerate(_chunks(array, outer, number_fill)):
        if count in without:
            continue
        name = [*(["c"] if encoding == "default" else []), *map(str, number)]
        place = path / separator.join(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        data = _encoded(chunk, codecs, order)
        if shard is not None:
            data = _shard(chunk, side, codecs, order, index_at)
        place.write_bytes(data)
    return path


def _listed(codecs, order, *, is_big):
    words = {
        "bytes": {"endian": "big" if is_big else "little"}, "gzip": {"level": 1},
        "crc32c": None, "transpose": {"order": order},
    }  # fmt: skip
    return [
        {"name": name} | ({"configuration": words[name]} if words[name] else {})
        for name in codecs
    ]


def _encoded(chunk, codecs, order):
    data = b""
    for name in codecs:
        if name == "transpose":
            chunk = chunk.transpose(order)
        elif name == "bytes":
            data = chunk.tobytes()
        elif name == "gzip":
            data = gzip.compress(data)
        else:
            data += struct.pack("<I", google_crc32c.value(data))
    return data


def _shard(chunk, side, codecs, order, index_at):
    """Return inner chunks and their index; those of zeros alone are not stored."""
    n = int(np.prod([a // b for a, b in zip(chunk.shape, side, strict=True)]))
    length = 16 * n + 4
    body, index = b"", b""
    for _, part in _chunks(chunk, side, 0):
        if not part.any():
            index += b"\xff" * 16
            continue
        data = _encoded(part, codecs, order)
        place = len(body) + (length if index_at == "start" else 0)
        index += struct.pack("<2Q", place, len(data))
        body += data
    index += struct.pack("<I", google_crc32c.value(index))
    return index + body if index_at == "start" else body + index


def group_3(path, arrays, **options):
    """Write a group of arrays."""
    path.mkdir(parents=True)
    (path / "zarr.json").write_text(
        '{"zarr_format": 3, "node_type": "group", "attributes": {}}'
    )
    for name, array in arrays.items():
        zarr_3(path / name, array, **options)
    return path

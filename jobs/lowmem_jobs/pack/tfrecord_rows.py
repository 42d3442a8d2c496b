"""Rows of TFRecord files of `tf.train.Example`, read without TensorFlow.

The framing: length, its checksum, the record, its checksum, all little-endian; the
checksum is a masked CRC-32C, and both are held against what is read. Messages are parsed
by protobuf, floats as the 32 bits that they are, so that a NaN keeps its payload.

References
----------
TensorFlow, tensorflow/core/lib/io/record_writer.h (framing) and
tensorflow/core/example/{example,feature}.proto.
"""

from __future__ import annotations

import struct
from typing import IO, TYPE_CHECKING, Any

import google_crc32c
import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message, message_factory

from lowmem.base import DataError
from lowmem_jobs.pack.column_types import (
    LARGEST_EXACT,
    ColumnRows,
    RowRefusedError,
    TableBlock,
    text_rows_of,
)
from lowmem_jobs.pack.seen_values import (
    BYTES,
    FLOAT_32,
    INT,
    NULL,
    OTHER,
    Observed,
    Shape,
)
from lowmem_jobs.pack.table_files import opened_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem_jobs.pack.column_types import ColumnType
    from lowmem_jobs.pack.pack_recipe import PackRecipe
    from lowmem_jobs.pack.table_formats import BlockLimits

_HEAD, _SUM = struct.Struct("<QI"), struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
_WORD = 2**32
# What protobuf itself takes.
_MOST_RECORD_BYTES = 2**31 - 1
_NAN = np.array([np.nan], np.float32)
# By the field of a feature that is set.
_LISTS = {"bytes_list": BYTES, "float_list": FLOAT_32, "int64_list": INT}
_FIELD = descriptor_pb2.FieldDescriptorProto


def _example_type() -> Any:  # noqa: ANN401 - protobuf's classes are made as it runs
    """Return the class of an Example.

    Field 2 is that of the lists in a SequenceExample, by which one is known.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="lowmem_example.proto", package="lowmem", syntax="proto3"
    )
    # A float as its bits: the same four bytes on the wire.
    items = {"Bytes": _FIELD.TYPE_BYTES, "Float": _FIELD.TYPE_FIXED32}
    for name, kind in {**items, "Int64": _FIELD.TYPE_INT64}.items():
        listed = file.message_type.add(name=f"{name}List")
        listed.field.add(name="value", number=1, type=kind, label=_FIELD.LABEL_REPEATED)
    feature = file.message_type.add(name="Feature")
    feature.oneof_decl.add(name="kind")
    for number, name in enumerate(("Bytes", "Float", "Int64"), start=1):
        feature.field.add(
            name=f"{name.lower()}_list",
            number=number,
            type=_FIELD.TYPE_MESSAGE,
            label=_FIELD.LABEL_OPTIONAL,
            type_name=f".lowmem.{name}List",
            oneof_index=0,
        )
    features = file.message_type.add(name="Features")
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(
        name="key", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL
    )
    entry.field.add(
        name="value",
        number=2,
        type=_FIELD.TYPE_MESSAGE,
        label=_FIELD.LABEL_OPTIONAL,
        type_name=".lowmem.Feature",
    )
    features.field.add(
        name="feature",
        number=1,
        type=_FIELD.TYPE_MESSAGE,
        label=_FIELD.LABEL_REPEATED,
        type_name=".lowmem.Features.FeatureEntry",
    )
    example = file.message_type.add(name="Example")
    example.field.add(
        name="features",
        number=1,
        type=_FIELD.TYPE_MESSAGE,
        label=_FIELD.LABEL_OPTIONAL,
        type_name=".lowmem.Features",
    )
    example.field.add(
        name="sequences", number=2, type=_FIELD.TYPE_BYTES, label=_FIELD.LABEL_REPEATED
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    described = pool.FindMessageTypeByName("lowmem.Example")
    return message_factory.GetMessageClass(described)


_Example = _example_type()


def blocks(
    path: Path, position: tuple[int, ...], limits: BlockLimits, recipe: PackRecipe
) -> Iterator[TableBlock]:
    """Yield the features of records: (kind, values) a row; None where one has none."""
    start = position[0] if position else 0
    with opened_bytes(path, start) as stream:
        while rows := _some(stream, path, limits):
            names = dict.fromkeys(name for row in rows for name in row)
            yield TableBlock(
                columns={
                    name: [row.get(name) for row in rows]
                    for name in names
                    if recipe.takes(name)
                },
                n_rows=len(rows),
                position=(stream.tell(),),
            )


def _some(
    stream: IO[bytes], path: Path, limits: BlockLimits
) -> list[dict[str, tuple[str, Any]]]:
    rows: list[dict[str, tuple[str, Any]]] = []
    begin = stream.tell()
    while len(rows) < limits.n_rows and stream.tell() - begin < limits.n_bytes:
        record = _record(stream, path)
        if record is None:
            break
        rows.append(_features(record, len(rows)))
    return rows


def _record(stream: IO[bytes], path: Path) -> bytes | None:
    """Return the next record; None at the end of the file."""
    at = stream.tell()
    head = stream.read(_HEAD.size)
    if not head:
        return None
    if len(head) < _HEAD.size:
        raise _cut(path, at, "is cut short")
    n_bytes, head_sum = _HEAD.unpack(head)
    if _masked(head[:8]) != head_sum:
        raise _cut(path, at, "is damaged, or the file is no TFRecord file")
    if n_bytes > _MOST_RECORD_BYTES:
        raise _cut(path, at, f"says that it has {n_bytes} bytes")
    data = stream.read(n_bytes)
    tail = stream.read(_SUM.size)
    if len(data) < n_bytes or len(tail) < _SUM.size:
        raise _cut(path, at, "is cut short")
    if _masked(data) != _SUM.unpack(tail)[0]:
        raise _cut(path, at, "is damaged: its checksum differs")
    return data


def _masked(data: bytes) -> int:
    """Return the CRC-32C as TFRecord files hold it: turned by 15 bits, and moved.

    Examples
    --------
    >>> hex(_masked(b"123456789"))
    '0xc78ab0e5'
    """
    crc = google_crc32c.value(data)
    return int(((crc >> 15 | crc << 17) + _MASK_DELTA) % _WORD)


def _cut(path: Path, at: int, problem: str) -> DataError:
    return DataError(
        thing=f"{path}: the record at byte {at}",
        problem=problem,
        expected="records as they were written",
        todo="Copy the file anew.",
    )


def _features(record: bytes, row: int) -> dict[str, tuple[str, Any]]:
    example = _Example()
    try:
        example.ParseFromString(record)
    except message.DecodeError as error:
        raise RowRefusedError(
            row=row, problem="cannot be parsed", expected="a tf.train.Example"
        ) from error
    if len(example.sequences) or not len(example.features.feature):
        problem = "is a SequenceExample" if len(example.sequences) else "has no feature"
        raise RowRefusedError(row=row, problem=problem, expected="a tf.train.Example")
    found = {}
    for name, feature in example.features.feature.items():
        field = feature.WhichOneof("kind")
        if field is not None:
            kind, values = _LISTS[field], getattr(feature, field).value
            found[name] = (kind, _array(kind, values))
    return found


def _array(kind: str, values: Any) -> Any:  # noqa: ANN401
    if kind == FLOAT_32:
        return np.array(values, np.uint32).view(np.float32)
    return list(values) if kind == BYTES else np.array(values, np.int64)


def observed(values: list[Any]) -> Observed:
    """Return what some features are; of numbers the length of each."""
    kinds: dict[str, int] = {}
    shapes: dict[Shape, int] = {}
    beyond = None
    for row, value in enumerate(values):
        if value is None:
            kinds.setdefault(NULL, row)
            continue
        kind, found = value
        is_list = kind == BYTES and len(found) != 1
        kinds.setdefault(OTHER if is_list else kind, row)
        shapes.setdefault(() if kind == BYTES else (len(found),), row)
        if kind == INT and beyond is None and _is_beyond(found):
            beyond = row
    return Observed(kinds=kinds, shapes=shapes, beyond=beyond)


def _is_beyond(found: NDArray[np.int64]) -> bool:
    return bool(((found > LARGEST_EXACT) | (found < -LARGEST_EXACT)).any())


def rows_of(values: list[Any], column: ColumnType) -> ColumnRows:
    """Return features as rows of a type that all of them were seen to have.

    None is NaN in a column of floats.

    Raises
    ------
    RowRefusedError
        For a text that is no UTF-8.
    """
    if column.dtype == "uint8":
        texts = [found[0] for _, found in values]
        if column.is_text:
            _refuse_other_bytes(texts)
        return text_rows_of(texts)
    found = [_NAN if value is None else value[1] for value in values]
    whole = np.concatenate([one.astype(column.dtype) for one in found])
    if column.is_ragged:
        lengths = np.array([len(one) for one in found], np.int64)
        return ColumnRows(values=whole, lengths=lengths)
    return ColumnRows(values=whole.reshape(len(found), *column.shape))


def _refuse_other_bytes(texts: list[bytes]) -> None:
    for row, text in enumerate(texts):
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise RowRefusedError(
                row=row,
                problem=f"is no UTF-8 at its byte {error.start}",
                expected="text in UTF-8",
            ) from error

"""The bytes of one block: what it is a part of, on one line, and its rows.

Deterministic: of the same rows every process makes the same bytes, which is how two
outputs of one block are compared. What made them is told beside them.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lowmem.base.errors import DataError, JobDefinitionError
from lowmem.base.outside import BAD_JSON

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lowmem.protocol.row_blocks import RowBlocks

FORMAT = 1


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all blocks of one store have in common; see `RowBlocks`."""

    format: int = FORMAT
    job: str
    store: str
    array: str
    n_rows: int
    block_rows: int
    row_shape: tuple[int, ...]
    dtype: str
    codec: str
    attributes: dict[str, Any]
    summary: dict[str, Any]


def head_of(job: str, blocks: RowBlocks) -> Head:
    """Return what all blocks of a store have in common."""
    return Head(
        job=job,
        store=blocks.store,
        array=blocks.array,
        n_rows=blocks.n_rows,
        block_rows=blocks.block_rows,
        row_shape=tuple(blocks.row_shape),
        # With its byte order: rows lie in the file as they do in memory.
        dtype=np.dtype(blocks.dtype).str,
        codec=blocks.codec,
        attributes=dict(blocks.attributes),
        summary=dict(blocks.summary),
    )


def parts_of(
    head: Head, rows: NDArray[Any], *, n_rows: int
) -> list[bytes | memoryview]:
    """Return the bytes of a block.

    Raises
    ------
    JobDefinitionError
        If the rows are not as the head says.
    """
    expected = ((n_rows, *head.row_shape), np.dtype(head.dtype))
    if (rows.shape, rows.dtype) != expected:
        raise JobDefinitionError(
            job=head.job,
            problem=f"made a block of shape {rows.shape} of {rows.dtype}",
            expected=f"{expected[0]} of {expected[1]}, as its blocks say",
        )
    line = msgspec.json.encode(head, order="deterministic") + b"\n"
    return [line, np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data]


def head_and_rows(data: bytes, thing: object) -> tuple[Head, NDArray[Any]]:
    """Return what the bytes of a block hold; the rows are read-only.

    Raises
    ------
    DataError
        If they are of another form, as a newer lowmem may write them.
    """
    line, _, rest = data.partition(b"\n")
    try:
        head = msgspec.json.decode(line, type=Head)
        rows = np.frombuffer(rest, np.dtype(head.dtype)).reshape(-1, *head.row_shape)
    except (*BAD_JSON, ValueError, TypeError) as error:
        raise DataError(
            thing=thing,
            problem=f"is no block of rows ({error})",
            expected=f"one of format {FORMAT}",
            todo="Have the same release of lowmem make and merge the blocks.",
        ) from error
    return head, rows


class BlockNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What is told beside a block, and is no part of it: machines may differ in it.

    Attributes
    ----------
    made_by
        What last digits may depend on beside the recipe: software and processor.
    notes
        See `RowBlocks`.
    """

    made_by: dict[str, str] = {}
    notes: tuple[str, ...] = ()


def told_of(blocks: RowBlocks, versions: Mapping[str, str], device: str) -> bytes:
    """Return what is told beside the blocks that this process makes."""
    made_by = {**versions, "device": device, "processor": _processor()}
    told = BlockNotes(made_by=made_by, notes=tuple(blocks.notes))
    return msgspec.json.encode(told, order="deterministic")


def told_from(data: bytes) -> BlockNotes:
    """Return what was told beside a block; nothing of what cannot be read."""
    try:
        return msgspec.json.decode(data, type=BlockNotes)
    except BAD_JSON:
        return BlockNotes()


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.machine()
    names = (line for line in text.splitlines() if line.startswith("model name"))
    return (
        next(names, platform.machine()).partition(":")[2].strip() or platform.machine()
    )

"""What a trial tells of a job's state at its commit points, to be compared with another's.

Only digests cross to the supervisor: of each value of the state, of each array, and of
each file that `Context.append` gives. What a job writes to staging itself is not looked
at: between two commits it may stand half written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.job import Result
from lowmem.protocol.messages import Marked
from lowmem.states.kinds import packed_by_name
from lowmem.worker.registry import work_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from lowmem.protocol.job import Job

_BLOCK_BYTES = 2**20
_DIGITS = 16

Points = Generator[CommitPoint, None, Result | None]


def marked(job: Job, marks_at: Collection[int], tell: Callable[[Marked], None]) -> Job:
    """Return the job, which tells what it has made by then at its commit points.

    Parameters
    ----------
    marks_at
        The numbers of items at which it tells; every point where empty. At the first of
        them that it meets, or once it is past them all, a commit is due.
    """

    def work(ctx: Any) -> Any:  # noqa: ANN401 - the worker's context; what a job returns
        points = work_of(job)(ctx)
        # What else it may be is refused where it is driven.
        is_driven = isinstance(points, Generator)
        return _told(points, ctx, marks_at, tell) if is_driven else points

    return replace(job, work=work)


def _told(
    points: Points,
    ctx: Any,  # noqa: ANN401
    marks_at: Collection[int],
    tell: Callable[[Marked], None],
) -> Points:
    n_items, n_rows = 0, 0
    try:
        while True:
            try:
                point = next(points)
            except StopIteration as end:
                result: Result | None = end.value
                return result
            if isinstance(point, CommitPoint):
                before, n_rows = n_rows, sum(ctx.kept.places.values())
                n_items += int(point.items) or n_rows - before
                is_mark = n_items in marks_at
                if is_mark or not marks_at:
                    tell(Marked(items=n_items, parts=digests_of(point, ctx)))
                if is_mark or n_items > max(marks_at, default=n_items):
                    point = replace(point, is_due=True)
            yield point
    finally:
        points.close()


def digests_of(point: CommitPoint, ctx: Any) -> dict[str, str]:  # noqa: ANN401
    """Return a digest of each part of what a commit at ``point`` would hold, by its name.

    Notes
    -----
    Peak extra memory: one array of the state, and a copy of it where it lies scattered.
    """
    if point.values is not None:
        return _of_values(point.values) | _of_files(ctx)
    told = {
        f"state[{key!r}]": _digest([_json(value)]) for key, value in point.state.items()
    }
    pairs = point.arrays() if callable(point.arrays) else point.arrays.items()
    told |= {f"arrays[{name!r}]": _digest(_parts(array)) for name, array in pairs}
    return told | _of_files(ctx)


def _of_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of each value that is kept by name, each taken by itself."""
    told = {}
    for name, value in values.items():
        trees, packer = packed_by_name({name: value})
        arrays = (part for make in packer.arrays.values() for part in _parts(make()))
        told[name] = _digest(chain([_json(trees)], arrays))
    return told


def _of_files(ctx: Any) -> dict[str, str]:  # noqa: ANN401
    return {f"the file {name}": _digest(blocks) for name, blocks in _appended(ctx)}


def _json(value: object) -> bytes:
    # What JSON cannot hold is refused at a commit.
    return msgspec.json.encode(value, enc_hook=repr, order="deterministic")


def _parts(array: Any) -> Iterator[Any]:  # noqa: ANN401 - whatever NumPy takes
    whole = np.asarray(array)
    yield f"{whole.dtype.str} {whole.shape}".encode()
    yield np.ascontiguousarray(whole).reshape(-1).view(np.uint8)


def _appended(ctx: Any) -> Iterator[tuple[str, Iterator[bytes]]]:  # noqa: ANN401
    for name in ctx.kept.synced():
        yield name, _blocks(ctx.staging / name)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def _digest(parts: Iterable[Any]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:_DIGITS]

"""Vectors of images of the store, or of a file, and the ways between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base import DataError, OptionValueError
from lowmem.stores import CachedReader, RowReader, mapped_array
from lowmem_jobs.generate.option_values import PATH_KINDS, path_kind_of, rows_named
from lowmem_jobs.stats.paths import constant_radius, straight

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lowmem import Context
    from lowmem_jobs.model.encoder import Encoder
    from lowmem_jobs.stats.frame import PrincipalFrame

    Floats = NDArray[np.float64]


_N_AXES = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ends:
    """Two vectors and the ways between them.

    Attributes
    ----------
    rows
        Of the images, in the store; none where the ends are other vectors.
    paths
        By kind, the one that was asked for first: vectors at fractions of the way.
    """

    rows: tuple[int, ...]
    paths: Mapping[str, Callable[[Floats], Floats]]

    @classmethod
    def of(cls, ctx: Context, encoder: Encoder, frame: PrincipalFrame) -> Ends:
        """Return the ends that the options name."""
        start, end = anchors(ctx, encoder, frame)
        ways: dict[str, Callable[[Floats], Floats]] = {
            "straight": partial(straight, start, end),
            "radius": partial(constant_radius, start, end, frame=frame),
        }
        chosen = path_kind_of(ctx.options)
        order = sorted(PATH_KINDS, key=lambda kind: kind != chosen)
        paths = {kind: ways[kind] for kind in order}
        rows = () if ctx.options["vectors"] else rows_named(ctx.options)
        return cls(rows=rows, paths=paths)


def anchors(ctx: Context, encoder: Encoder, frame: PrincipalFrame) -> Floats:
    """Return the vectors that the options name, of images or of a file, shape (n, d).

    Raises
    ------
    DataError
        If the file cannot serve.
    OptionValueError
        If it does not have such a row.
    """
    rows = np.array(rows_named(ctx.options), np.int64)
    if ctx.options["vectors"]:
        return _read_vectors(Path(ctx.options["vectors"]), rows, frame.dimension)
    images = RowReader.open(ctx.workspace.images, "images")
    with CachedReader(images, cache_bytes=0) as reader:
        z: Floats = encoder.encode(reader.read(rows)).astype(np.float64)
    return z


def _read_vectors(path: Path, rows: NDArray[np.int64], dimension: int) -> Floats:
    try:
        # Mapped: of a large file, only these rows are read.
        table = mapped_array(path)
    except DataError as error:
        raise _unusable(path, f"cannot be read ({error})", dimension) from error
    is_table = table.dtype.kind in "fiu"
    if not is_table or table.ndim != _N_AXES or table.shape[1] != dimension:
        raise _unusable(path, f"holds shape {table.shape}", dimension)
    if len(table) <= rows.max():
        raise OptionValueError(
            option="a row of --vectors",
            value=int(rows.max()),
            expected=f"one of {path.name}, 0 to {len(table) - 1}",
        )
    z: Floats = table[rows].astype(np.float64)
    if not np.isfinite(z).all():
        raise _unusable(path, "holds values that are not finite", dimension)
    return z


def _unusable(path: Path, problem: str, dimension: int) -> DataError:
    expected = f"a .npy file of finite numbers, shape (n, {dimension})"
    return DataError(thing=path, problem=problem, expected=expected)

"""Vectors of images of the store, and the ways between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lowmem.stats.paths import constant_radius, straight
from lowmem.stores.cache import CachedReader
from lowmem.stores.read import RowReader
from lowmem_jobs.generate.recipe import PATH_KINDS, image_rows, path_kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lowmem.protocol.job import Context
    from lowmem.stats.frame import Frame
    from lowmem.training.encoder import Encoder

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ends:
    """Two images and the ways between their vectors.

    Attributes
    ----------
    rows
        Of the images, in the store.
    paths
        By kind, the one that was asked for first: vectors at fractions of the way.
    """

    rows: tuple[int, ...]
    paths: Mapping[str, Callable[[Floats], Floats]]

    @classmethod
    def of(cls, ctx: Context, encoder: Encoder, frame: Frame) -> Ends:
        """Return the ends that the options name."""
        start, end = anchors(ctx, encoder)
        ways: dict[str, Callable[[Floats], Floats]] = {
            "straight": partial(straight, start, end),
            "radius": partial(constant_radius, start, end, frame=frame),
        }
        chosen = path_kind_of(ctx.options)
        order = sorted(PATH_KINDS, key=lambda kind: kind != chosen)
        paths = {kind: ways[kind] for kind in order}
        return cls(rows=image_rows(ctx.options), paths=paths)


def anchors(ctx: Context, encoder: Encoder) -> Floats:
    """Return the vectors of the images that the options name, shape (n, d)."""
    rows = np.array(image_rows(ctx.options), np.int64)
    images = RowReader.open(ctx.workspace.images, "images")
    with CachedReader(images, cache_bytes=0) as reader:
        z: Floats = encoder.encode(reader.read(rows)).astype(np.float64)
    return z

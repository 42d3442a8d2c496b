"""What the options of `generate` mean; light, since the planner reads it too."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from lowmem.stores import images_at_once
from lowmem_jobs.stats.methods import METHODS as TABLE
from lowmem_jobs.stats.methods import NEAR, along_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

# In the order of the table that compares them.
METHODS = tuple(TABLE)
# Of these the principal axes can be cut off behind the first few.
OF_PRINCIPAL_AXES = along_axes()
PATH, ALL = "path", "all"
USUAL_METHOD = "ellipses"
PATH_KINDS = ("straight", "radius")

# Vectors of a method that are scored, of a million too: many times the 256 dimensions,
# and little time beside drawing them all.
SCORED_ROWS = 4096
# Images between two commits of the pass over real images, and of drawn ones in a chunk.
STEP_ROWS = 64
_MOST_AT_ONCE = 16
_USUAL_SIGMA, _USUAL_SIGMA_NEAR = 3.0, 0.5


def method_of(options: Mapping[str, Any]) -> str:
    """Return the one method asked for: of `METHODS`, or path, near, all."""
    if options["near"] is not None:
        return NEAR
    return str(options["method"] or USUAL_METHOD)


def methods_of(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the methods that vectors are drawn by."""
    method = method_of(options)
    return METHODS if method == ALL else (method,)


def sigma_of(options: Mapping[str, Any]) -> float:
    """Return the reach of a region, or of what is drawn around one image."""
    usual = _USUAL_SIGMA if options["near"] is None else _USUAL_SIGMA_NEAR
    return float(usual if options["sigma"] is None else options["sigma"])


def path_kind_of(options: Mapping[str, Any]) -> str:
    """Return which of `PATH_KINDS` vectors are drawn along."""
    return str(options["path_kind"] or PATH_KINDS[0])


def rows_named(options: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the rows of the image store, or of `vectors`, to start from."""
    named = (options[name] for name in ("from_index", "to_index", "near"))
    return tuple(row for row in named if row is not None)


def n_decoded(options: Mapping[str, Any]) -> int:
    """Return how many vectors of each method become images: the first ones."""
    count = int(options["count"])
    return min(int(options["images"] or count), count)


def n_scored(options: Mapping[str, Any]) -> int:
    """Return how many vectors of each method are scored: the first of the images."""
    return min(n_decoded(options), SCORED_ROWS)


def batch_size_of(options: Mapping[str, Any], image_shape: tuple[int, ...]) -> int:
    """Return how many images go through a model at once: part of the result."""
    given: int | None = options["batch_size"]
    return given or images_at_once(prod(image_shape), most=_MOST_AT_ONCE)

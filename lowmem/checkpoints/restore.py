"""Find the newest checkpoint that is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lowmem.checkpoints.generations import (
    generation_path,
    generations,
    newest_whole,
    read_manifest,
)
from lowmem.checkpoints.manifest import ARRAYS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from lowmem.checkpoints.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A checkpoint that verified.

    Attributes
    ----------
    arrays
        Its arrays by name, each read from the disk when asked for.
    damaged
        Newer generations that did not verify, newest first.
    """

    manifest: Manifest
    arrays: Mapping[str, NDArray[Any]]
    damaged: tuple[str, ...]


def restore(folder: Path) -> Restored | None:
    """Return the newest generation that verifies; None if there is none at all.

    Raises
    ------
    LowmemError
        See `lowmem.checkpoints.generations.newest_whole`.
    """
    newest = newest_whole(folder)
    if newest is None:
        return None
    return Restored(
        manifest=newest.manifest,
        arrays=open_arrays(newest.path),
        damaged=newest.damaged,
    )


def newest_running(folder: Path) -> Restored | None:
    """Return the newest state that was committed on the way to a result, if one verifies."""
    for generation in reversed(generations(folder)):
        path = generation_path(folder, generation)
        manifest = read_manifest(path)
        if manifest is not None and manifest.phase == "running":
            return Restored(manifest=manifest, arrays=open_arrays(path), damaged=())
    return None


def open_arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    """Return the arrays of a generation, each read when asked for."""
    arrays = path / ARRAYS
    if not arrays.exists():
        return {}
    opened: Mapping[str, NDArray[Any]] = np.load(arrays, allow_pickle=False)
    return opened

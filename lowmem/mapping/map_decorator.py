"""The map of a job's file: a decorated function of a block of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem.mapping.map_description import map_job
from lowmem.mapping.map_task import MapTask
from lowmem.mapping.naming import out_from_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from lowmem.protocol.job import Job


def map(  # noqa: A001 - it is called lowmem.map
    *,
    out: str,
    source: str | PathLike[str] | None = None,
    rows: int | None = None,
    codec: str = "none",
    name: str | None = None,
    unit: str = "rows",
    version: int = 1,
    uses_device: bool = False,
    uses_keras: bool = False,
) -> Callable[[Callable[..., Any]], Job]:
    """Make a job of a function of a block of rows: NumPy in, NumPy out.

    It must return one row for each row that it is given, the same whatever other rows are
    beside it; that is tried on the first rows. It is always called with the same number
    of rows, but for the last: so the result is the same to the bit under any budget, and
    wherever it was cut.

    Parameters
    ----------
    out
        The store to make in the workspace, such as ``features.zarr``; it holds one array
        of the same name, or of another: ``features.zarr/mean``.
    source
        A Zarr array, a group with one, or a .npy file; a relative path is looked for in
        the current folder and in the workspace. ``--source`` names another.
    rows
        Rows of one call; by default some 4 MiB of them. Part of the recipe.
    codec
        Compression of the result: none, lz4, zstd.
    name
        Name of the job; the function's own where None.
    unit
        What the rows are, in the plural.
    version
        Raise it when the function gives another result.
    uses_device, uses_keras
        As of any job.

    Raises
    ------
    OptionValueError
        If ``out`` is no plain name of a store.
    """
    place = out_from_text(out)

    def decorate(function: Callable[..., Any]) -> Job:
        doc = (function.__doc__ or "").strip()
        own = function.__name__.replace("_", "-")
        return map_job(
            MapTask(job=name or own, out=place, function=function),
            source=None if source is None else str(source),
            rows=rows,
            codec=codec,
            unit=unit,
            version=version,
            uses_device=uses_device,
            uses_keras=uses_keras,
            **({"summary": doc.splitlines()[0]} if doc else {}),
        )

    return decorate

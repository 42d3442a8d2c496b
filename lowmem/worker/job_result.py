"""What a job's work may end with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.errors import JobDefinitionError
from lowmem.protocol.job import Result

if TYPE_CHECKING:
    from pathlib import Path


def checked_end(job: str, value: object, staging: Path) -> Result:
    """Return the result of a job whose work returned ``value``.

    Raises
    ------
    JobDefinitionError
        If that is no result, or nothing, where something was written that would be lost.
    """
    if isinstance(value, Result):
        return value
    if value is not None:
        raise JobDefinitionError(
            job=job,
            problem=f"returned {kind_of(value)}",
            expected="a lowmem.Result(...) or nothing",
        )
    left = sorted(path.name for path in staging.iterdir()) if staging.exists() else []
    if left:
        raise JobDefinitionError(
            job=job,
            problem=f"wrote {', '.join(left[:3])} to ctx.staging and returned nothing",
            expected="a lowmem.Result(publish=[...]) that names its results, or "
            "lowmem.Result() where what it wrote may go",
        )
    return Result()


def kind_of(value: object) -> str:
    """Return what a value is called in a message."""
    return "None" if value is None else type(value).__name__

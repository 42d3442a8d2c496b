"""What a job's work may end with, and what of it may be published."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from lowmem.base.errors import JobDefinitionError
from lowmem.base.errors_results import ResultNameError, UnwrittenResultError
from lowmem.base.files import sync_file, sync_tree
from lowmem.protocol.job import Result

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lowmem.base.workspace import Workspace
    from lowmem.protocol.job import Job


def checked_end(job: Job, value: object, staging: Path) -> Result:
    """Return the result of a job whose work returned ``value``.

    Raises
    ------
    JobDefinitionError
        If that is no result, or nothing, where something was written that would be lost;
        or if it publishes less than the job's outputs.
    """
    if value is not None and not isinstance(value, Result):
        raise JobDefinitionError(
            job=job.name,
            problem=f"returned {kind_of(value)}",
            expected="a lowmem.Result(...) or nothing",
        )
    if job.outputs:
        return _with_outputs(job, value or Result())
    if value is None:
        _refuse_lost(job.name, staging)
    return value or Result()


def _with_outputs(job: Job, result: Result) -> Result:
    """Return a result that publishes the outputs, which others may need."""
    if not result.publish:
        return replace(result, publish=job.outputs)
    lacking = [name for name in job.outputs if name not in result.publish]
    if lacking:
        raise JobDefinitionError(
            job=job.name,
            problem=f"returned Result(publish=...) without {', '.join(lacking)}",
            expected="all of its outputs=[...] there, or no publish= at all",
        )
    return result


def _refuse_lost(job: str, staging: Path) -> None:
    left = sorted(path.name for path in staging.iterdir()) if staging.exists() else []
    if left:
        raise JobDefinitionError(
            job=job,
            problem=f"wrote {', '.join(left[:3])} to ctx.staging and returned nothing",
            expected="a lowmem.Result(publish=[...]) that names its results, "
            "@lowmem.job(outputs=[...]) that does, or lowmem.Result() where what it wrote "
            "may go",
        )


def refuse_unsafe(job: str, name: object, space: Workspace) -> None:
    """Refuse the name of a result that would replace what is not a job's.

    Raises
    ------
    ResultNameError
        With the rule.
    """
    reserved = (space.private.name, space.report.name, space.config.name)
    if not isinstance(name, str) or not _is_inner(name, reserved):
        raise ResultNameError(job=job, name=name, reserved=reserved)


def refuse_unwritten(job: Job, name: str, staging: Path) -> None:
    """Refuse a result that is not there.

    Raises
    ------
    UnwrittenResultError
        Naming it, and who promised it.
    """
    if not (staging / name).exists():
        by = "outputs=[...]" if name in job.outputs else "Result(publish=...)"
        raise UnwrittenResultError(job=job.name, name=name, by=by)


def _is_inner(name: str, reserved: Iterable[str]) -> bool:
    """Return whether ``name`` leads to a place inside a folder, in its normal form."""
    path = PurePosixPath(name)
    is_normal = bool(path.parts) and str(path) == name and not path.is_absolute()
    return is_normal and ".." not in path.parts and path.parts[0] not in set(reserved)


def sync_results(staging: Path, names: Iterable[str]) -> None:
    """Force results to the disk, before a commit says that they are complete."""
    for path in (staging / name for name in names):
        sync_tree(path) if path.is_dir() else sync_file(path)
        for folder in path.parents:
            sync_file(folder)
            if folder == staging:
                break


def kind_of(value: object) -> str:
    """Return what a value is called in a message."""
    return "None" if value is None else type(value).__name__

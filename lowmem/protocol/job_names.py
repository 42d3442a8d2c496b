"""Which jobs there are by name, before anything of a job is loaded."""

from __future__ import annotations

from importlib import metadata

from lowmem.base.errors import DataError, UnknownJobError
from lowmem.base.suggestions import did_you_mean
from lowmem.protocol.job_reference import file_and_name

GROUP = "lowmem.jobs"


def installed_points() -> metadata.EntryPoints:
    """Return the entry points of the installed jobs, which are not loaded."""
    return metadata.entry_points(group=GROUP)


def is_file_reference(reference: str) -> bool:
    """Return whether a job is named by a file that defines it."""
    return file_and_name(reference) is not None


def require_there(reference: str) -> None:
    """Refuse what names neither an installed job nor a file that is there.

    Raises
    ------
    UnknownJobError
        If no installed job has that name.
    DataError
        If there is no such file.
    """
    found = file_and_name(reference)
    if found is not None:
        if not found[0].is_file():
            raise DataError(
                thing=found[0],
                problem="is not there",
                expected="a Python file with a job",
            )
        return
    known = sorted(point.name for point in installed_points())
    if reference not in known:
        raise UnknownJobError(
            name=reference, known=known, hint=did_you_mean(reference, [*known, "all"])
        )

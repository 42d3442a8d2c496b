"""The jobs that a file defines, and the one of them that is meant."""

from __future__ import annotations

import sys
from importlib import util
from typing import TYPE_CHECKING

from lowmem.base.errors import UsageError
from lowmem.base.errors_exec import NoJobError
from lowmem.base.suggestions import did_you_mean
from lowmem.protocol.job import Job
from lowmem.protocol.job_names import installed_points, require_there
from lowmem.protocol.job_reference import in_file
from lowmem.worker.job_files import may_hold_job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType


def jobs_of(path: Path) -> tuple[Mapping[str, Job], Sequence[str]]:
    """Import a file; return the jobs that it holds by name, and the names of its own.

    Those that it imported from elsewhere are not its own, unless it has no other.

    Raises
    ------
    UsageError
        If it holds none, or two of one name.
    """
    require_there(str(path))
    if not may_hold_job(path):
        raise NoJobError(path=path)
    module = _imported(path)
    # One job may have two names in the file.
    found = {id(one): one for one in vars(module).values() if isinstance(one, Job)}
    if not found:
        raise NoJobError(path=path, has_run=True)
    named: dict[str, Job] = {}
    for job in found.values():
        if job.name in named:
            raise UsageError(
                f"{path} defines two jobs of the name {job.name!r}, expected each name "
                "once: what one has committed would be the other's. Give one another: "
                "@lowmem.job(name=...)."
            )
        named[job.name] = job
    own = [name for name, job in named.items() if not _is_from_elsewhere(job, module)]
    return named, own or list(named)


def _imported(path: Path) -> ModuleType:
    # Imports beside the file work, as they do for ``python FILE.py``.
    sys.path.insert(0, str(path.parent.absolute()))
    name = path.stem
    spec = util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported, expected a Python file.")
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _is_from_elsewhere(job: Job, module: ModuleType) -> bool:
    """Return whether another module, in which its function was written, has the job."""
    home = sys.modules.get(str(getattr(job.work, "__module__", "")))
    if home is None or home is module:
        return False
    return any(one is job for one in vars(home).values())


def chosen(path: Path, name: str, named: Mapping[str, Job], own: Sequence[str]) -> Job:
    """Return the job of a file that ``name`` is, or the only one where it is empty.

    Parameters
    ----------
    name
        Of the job, or of its function: with - or _ between its words.
    named, own
        See `jobs_of`.

    Raises
    ------
    UsageError
        If there is none of that name, several and no name, or it is an installed job's.
    """
    if not name and len(own) > 1:
        typed = in_file(path, own[0])
        raise UsageError(
            f"{path} defines {len(own)} jobs: {', '.join(own)}, expected one to be named. "
            f"`lowmem run {typed}` runs that one."
        )
    found = name_in(name, named) if name else own[0]
    if found is None:
        hint = did_you_mean(name, named)
        raise UsageError(
            f"{path} defines no job {name!r}{hint}, expected one of {', '.join(named)}. "
            f"`lowmem run {in_file(path, next(iter(named)))}` runs the first."
        )
    taken = {point.name for point in installed_points()} | {"all"}
    if found in taken:
        raise UsageError(
            f"{path} defines job {found!r}, expected a name that is neither `all` nor "
            "an installed job's, whose progress it would share. Give it another: "
            "@lowmem.job(name=...)."
        )
    return named[found]


def name_in(name: str, known: Iterable[str]) -> str | None:
    """Return the job's name that a name means, which may be that of its function.

    Examples
    --------
    >>> name_in("word_counts", ["word-counts", "words"]), name_in("word", ["words"])
    ('word-counts', None)
    """
    known = list(known)
    if name in known:
        return name
    return next((one for one in known if one.replace("-", "_") == name), None)

"""What the memory of a job depends on, and the trials that would measure it."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.software import software_versions
from lowmem.protocol.job_reference import file_and_name
from lowmem.protocol.messages import PlannedTrial
from lowmem.protocol.recipe import CONTENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from lowmem.protocol.job import Job
    from lowmem.protocol.messages import Plan
    from lowmem.protocol.planning import Calibration, PlanContext

# The folders of installed packages: Python's, Debian's, a user's own.
_PACKAGES = frozenset({"site-packages", "dist-packages"})


def planned_trials(
    job: Job,
    context: PlanContext,
    pins: Mapping[str, int],
    calibration: Calibration | None,
) -> Iterable[PlannedTrial]:
    """Yield the trials of a job, with what its formula says of each."""
    if calibration is None:
        return
    for trial in calibration.trials:
        options = {**context.options, **trial.options}
        settings = {**pins, **trial.settings}
        smaller = replace(context, options=options)
        yield PlannedTrial(
            settings=settings,
            options=dict(trial.options),
            points=trial.points,
            terms=tuple(float(term) for term in calibration.terms(smaller, settings)),
            floor_bytes=job.predict(smaller, settings).ram_bytes or 0,
        )


def memory_key(
    job: Job,
    request: Plan,
    recipe: Mapping[str, Any],
    calibration: Calibration | None,
) -> str:
    """Return a hash of all that a run's memory depends on beside its settings."""
    depends_on = calibration.depends_on if calibration else None
    if depends_on is None:
        depends_on = {
            key: value
            for key, value in recipe.items()
            if key != "seed" and not key.endswith(CONTENT)
        }
    parts = {
        "job": job.name,
        "version": job.version,
        "source": source_of(request.reference, job.work)
        or hashlib.sha256().hexdigest(),
        "depends_on": dict(depends_on),
        "device": request.device,
        # Frameworks keep buffers by the thread.
        "processors": len(os.sched_getaffinity(0)),
        "versions": software_versions(os.environ),
    }
    return _hash_of(parts)


def compare_key(
    recipe: Mapping[str, Any], memory: str, calibration: Calibration | None
) -> str:
    """Return a hash of all that the states of trials depend on beside settings and seed.

    Other data may show what these did not: sums of whole numbers have no rounding. Empty
    where states are not to be compared.
    """
    if calibration is None or not calibration.is_compared:
        return ""
    of_all = {key: value for key, value in recipe.items() if key != "seed"}
    return _hash_of({"recipe": of_all, "memory": memory})


def _hash_of(parts: Mapping[str, Any]) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def source_of(reference: str, work: object = None) -> str:
    """Return a hash of the code that defines a job; empty for an installed one.

    Of its file, and of what that imported from beside it.

    Parameters
    ----------
    work
        See `Job.work`: a module that is named counts though it is not yet imported.
    """
    named = file_and_name(reference)
    if named is None:
        return ""
    file = named[0].absolute()
    found = hashlib.sha256(file.read_bytes())
    for path in sorted(_modules_beside(file, work)):
        found.update(str(path.relative_to(file.parent)).encode() + path.read_bytes())
    return found.hexdigest()


def _modules_beside(file: Path, work: object) -> set[Path]:
    """Return the modules in the folder of ``file``, without itself and installed ones."""
    named = util.find_spec(work.partition(":")[0]) if isinstance(work, str) else None
    origins = [getattr(module, "__file__", None) for module in [*sys.modules.values()]]
    origins += [named.origin] if named else []
    paths = {Path(origin).absolute() for origin in origins if origin}
    return {
        path
        for path in paths - {file}
        if path.is_relative_to(file.parent)
        and not _is_installed(path, file.parent)
        and path.suffix == ".py"
        and path.is_file()
    }


def _is_installed(path: Path, folder: Path) -> bool:
    """Return whether a module below ``folder`` is no code of its author's.

    A virtual environment, or Python itself, often lies in the same folder, sometimes
    lowmem's own code. Where the folder lies in one of them instead, as in ``/usr``, what
    is beside the job is its author's.
    """
    ours = Path(__file__).absolute().parents[1]
    trees = {Path(sys.prefix), Path(sys.base_prefix)} - {folder, *folder.parents}
    whole = {*trees, ours, Path(os.__file__).absolute().parent}
    is_packaged = not _PACKAGES.isdisjoint(path.relative_to(folder).parts)
    return is_packaged or any(path.is_relative_to(tree) for tree in whole)

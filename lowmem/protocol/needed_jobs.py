"""Jobs whose results another one needs, named in its short form: ``needs=[clean]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.errors import InternalError
from lowmem.protocol.planning import Need

if TYPE_CHECKING:
    from lowmem.protocol.job import Job
    from lowmem.protocol.planning import PlanContext


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededResults:
    """What one needed job makes, and how it is run.

    Attributes
    ----------
    job, reference
        Its name; what is typed for it.
    paths
        Of its results, in the workspace.
    is_run
        Whether a run makes it first, with its own options, where a result is missing.
    """

    job: str
    reference: str
    paths: tuple[str, ...]
    is_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededJobs:
    """The ``needs`` of a `Job` that names jobs; it is called like any other.

    Attributes
    ----------
    jobs
        As they were given: names, or jobs.
    results
        What they make: known once the job is found, with its file and what is installed.
    """

    jobs: tuple[Job | str, ...]
    results: tuple[NeededResults, ...] | None = None

    def __call__(self, plan: PlanContext) -> tuple[Need, ...]:
        """Return each result as a need."""
        if self.results is None:
            raise InternalError(
                problem="the needs of a job were asked before they were found"
            )
        return tuple(
            Need(
                path=Path(plan.workspace.root / path),
                job=one.job,
                reference=one.reference,
                options={} if one.is_run else None,
            )
            for one in self.results
            for path in one.paths
        )

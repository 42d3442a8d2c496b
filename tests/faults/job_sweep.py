"""A built-in job on a disk that fails at its n-th operation: what must hold afterwards."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base.workspace import Workspace
from lowmem.checkpoints.restore import restore
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem.worker.failure import failure_from_exception
from tests.driver import Cutter, drive
from tests.faults.broken_disk import Disk, broken
from tests.processes import pipeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lowmem.protocol.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A job, and a workspace in which all that it needs is done.

    Attributes
    ----------
    before
        The workspace to copy.
    expected
        One in which the job ran on a good disk.
    """

    job: Job
    options: Mapping[str, Any]
    settings: Mapping[str, int]
    before: Path
    expected: Path

    def run(self, space: Path, overseer: Cutter | None = None) -> None:
        """Run the job in this process, or go on with it."""
        drive(self.job, space, self.options, settings=self.settings, overseer=overseer)


def prepare(job: Job, options: Mapping[str, Any], before: Path, folder: Path) -> Case:
    """Run the job once on a good disk."""
    expected = folder / f"{job.name}-expected"
    shutil.copytree(before, expected)
    context = PlanContext(
        workspace=Workspace.at(expected),
        options=resolve_options(job.name, job.options, options),
        seed=1,
        device="cpu",
        ram_budget_bytes=2 * 10**9,
    )
    case = Case(
        job=job,
        options=options,
        settings=job.ladder(context)[0],
        before=before,
        expected=expected,
    )
    case.run(expected)
    return case


def n_operations(case: Case, folder: Path) -> int:
    """Return how many operations a run on a good disk takes."""
    disk = Disk(fails_at=10**9, number=0, is_persistent=False)
    space = folder / "count"
    shutil.copytree(case.before, space)
    with broken(disk):
        case.run(space)
    shutil.rmtree(space)
    return disk.done


def sweep(
    case: Case, folder: Path, places: Iterable[int], number: int, *, is_persistent: bool
) -> list[int]:
    """Fail at each place in turn; return the exit codes of the runs that ended badly."""
    codes = []
    for place in places:
        space = folder / "now"
        shutil.rmtree(space, ignore_errors=True)
        shutil.copytree(case.before, space)
        told = Cutter()
        with broken(Disk(place, number, is_persistent)):
            try:
                case.run(space, told)
            except Exception as error:  # noqa: BLE001 - as at the worker's boundary
                codes.append(failure_from_exception(error).exit_code)
        assert set(codes) <= {74}, (place, codes)
        assert_last_commit_is_intact(space, case.job.name, told)
        case.run(space)
        assert_same_results(case, space)
    shutil.rmtree(folder / "now", ignore_errors=True)
    return codes


def assert_last_commit_is_intact(space: Path, job: str, told: Cutter) -> None:
    """Assert that a new process would go on from what the overseer was told last."""
    restored = restore(Workspace.at(space).checkpoints(job))
    last = told.cycles[-1].index if told.cycles else -1
    if restored is None:
        assert last == -1
        return
    # A commit may be whole and the failure have come before it was told.
    assert restored.manifest.generation in {last, last + 1}
    assert restored.damaged == ()
    for name in restored.arrays:
        assert restored.arrays[name] is not None
    if hasattr(restored.arrays, "close"):
        restored.arrays.close()


def assert_same_results(case: Case, space: Path) -> None:
    """Assert that the job has ended as on a good disk."""
    assert differences(case.job.name, case.expected, space) == []


def differences(job: str, expected: Path, space: Path) -> list[str]:
    """Return what a job's results in two workspaces do not have in common."""
    found: list[str] = []
    for name in pipeline.RESULTS[job]:
        one, two = (pipeline.contents(p / name) for p in (expected, space))
        found += [
            f"{name} {key}"
            for key in sorted(one.keys() | two.keys())
            if _bytes(one.get(key)) != _bytes(two.get(key))
        ]
    return found


def _bytes(value: object) -> object:
    """Return an array of numbers as its bytes, since NaN is not equal to itself."""
    if not isinstance(value, np.ndarray):
        return value
    return value.tolist() if value.dtype.kind not in "biufc" else value.tobytes()

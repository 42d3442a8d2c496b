"""The engine that a line has chosen; what it needs is loaded by then, and not before."""

from __future__ import annotations

from importlib.util import find_spec
from shutil import which
from typing import TYPE_CHECKING

from lowmem.base.errors_engines import EngineUnavailableError, MissingEngineError
from lowmem.engines.task_engine import TaskEngine

if TYPE_CHECKING:
    from lowmem.engines.engine import Engine, LaunchOrder
    from lowmem.engines.launch_folder import LaunchFolder

_PACKAGES = {"dask": "distributed", "ray": "ray"}
_PROGRAMS = ("sbatch", "squeue", "scancel")


def require_engine(name: str) -> None:
    """Refuse an engine whose library or programs are not here.

    Raises
    ------
    MissingEngineError
        With the command that installs the library.
    EngineUnavailableError
        If SLURM's programs are not on PATH.
    """
    package = _PACKAGES.get(name)
    if package is not None and find_spec(package) is None:
        raise MissingEngineError(engine=name, package=package)
    missing = [p for p in _PROGRAMS if name == "slurm" and which(p) is None]
    if missing:
        raise EngineUnavailableError(
            engine="SLURM",
            problem=f"is not here: no {' and no '.join(missing)} on PATH",
            expected="a machine that submits to it",
            todo="Type the command on a login node of the cluster.",
        )


def make_engine(order: LaunchOrder, folder: LaunchFolder) -> Engine:
    """Return the engine of a launch, not entered yet."""
    match order.engine:
        case "dask":
            from lowmem.engines.dask import DaskWorkers  # noqa: PLC0415 - when chosen

            return TaskEngine(order, folder, DaskWorkers(order))
        case "ray":
            from lowmem.engines.ray import RayWorkers  # noqa: PLC0415 - when chosen

            return TaskEngine(order, folder, RayWorkers(order))
        case "slurm":
            from lowmem.engines.slurm import SlurmEngine  # noqa: PLC0415 - when chosen

            return SlurmEngine(order, folder)
        case _:
            from lowmem.engines.local import LocalEngine  # noqa: PLC0415 - as the others

            return LocalEngine(order, folder)

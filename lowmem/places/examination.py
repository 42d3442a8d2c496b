"""Examine the machine: what it has, which budgets follow, what is wrong."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.backends import BACKENDS, Backend, find_backend
from lowmem.base.errors import LowmemError
from lowmem.base.software import backend_versions, version_of
from lowmem.base.units import format_bytes
from lowmem.memory.gpu import GpuSampler, binding_problem, default_vram_budget_bytes
from lowmem.memory.machine import (
    cgroup_limits,
    cpu_count,
    default_ram_budget_bytes,
    disk_free_bytes,
    read_machine,
)
from lowmem.memory.process_tree import oom_kills
from lowmem.places.disk_speed import DiskSpeed, read_disk_speed, slow_disk_problems
from lowmem.places.surroundings import find_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.memory.programs import Program
    from lowmem.places.place import Place

_PACKAGES = ("keras", "numpy", "scipy", "scikit-learn", "zarr")
# Bytes: the study's images, models and latents take about 7 GB.
_LITTLE_DISK_BYTES = 8 * 10**9
_LITTLE_RAM_BYTES = 2 * 10**9
# Programs that are named: no machine is full for smaller ones, which are 1 % of what
# Colab has, and few know more than five that could be ended.
WORTH_NAMING_BYTES = 100 * 2**20
_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """One examination of the machine; sizes in bytes, None where there is nothing.

    Attributes
    ----------
    cores
        Processors that this process may use.
    physical_cores
        Of the whole machine; fewer than its processors where two share a core.
    n_programs
        Other programs that can be seen and have memory.
    largest_programs
        Those of them that hold most, largest first. Told however much is available: a
        machine of which half is free may be too full for the budget that is meant.
    cgroup_limit_bytes
        The smallest limit of a control group around this process.
    disk_speeds
        First of the folder itself, then of each that the place keeps and that is not
        around it.
    backend
        What Keras computes with; None where none is installed.
    backend_said_by
        What decided that: ``variable``, ``file`` or ``installed``.
    versions
        Of the packages that jobs use; None for one that is not installed.
    problems
        Each a sentence that ends with what to do.
    """

    place: Place
    system: str
    python: str
    cores: int
    physical_cores: int | None
    ram_total_bytes: int
    ram_available_bytes: int
    n_programs: int
    largest_programs: tuple[Program, ...]
    cgroup_limit_bytes: int | None
    disk_free_bytes: int
    disk_speeds: tuple[DiskSpeed, ...]
    gpu: str | None
    vram_total_bytes: int | None
    ram_budget_bytes: int
    vram_budget_bytes: int | None
    backend: str | None
    backend_said_by: str
    versions: Mapping[str, str | None]
    problems: tuple[str, ...]


def examine(folder: Path) -> Examination:
    """Look at the machine; ``folder`` is where workspaces would be."""
    # They load psutil, which every other command does without.
    from lowmem.memory.physical_cores import physical_core_count  # noqa: PLC0415
    from lowmem.memory.programs import read_programs  # noqa: PLC0415

    machine = read_machine()
    programs = read_programs(most=_MOST_NAMED, least_bytes=WORTH_NAMING_BYTES)
    with GpuSampler() as sampler:
        gpu = sampler.read()
    backend = find_backend(os.environ)
    versions = _versions(backend)
    disk = disk_free_bytes(folder)
    place = find_place(has_gpu=gpu is not None)
    speeds = _disk_speeds(folder, place)
    problems = _problems(backend, versions, disk, machine.available_bytes)
    return Examination(
        place=place,
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        cores=cpu_count(),
        physical_cores=physical_core_count(),
        ram_total_bytes=machine.total_bytes,
        ram_available_bytes=machine.available_bytes,
        n_programs=programs.n_seen,
        largest_programs=programs.largest,
        cgroup_limit_bytes=min((limit for limit, _ in cgroup_limits()), default=None),
        disk_free_bytes=disk,
        disk_speeds=speeds,
        gpu=gpu.name if gpu else None,
        vram_total_bytes=gpu.total_bytes if gpu else None,
        ram_budget_bytes=default_ram_budget_bytes(machine),
        vram_budget_bytes=default_vram_budget_bytes(),
        backend=backend.name,
        backend_said_by=backend.said_by,
        versions=versions,
        problems=(*problems, *slow_disk_problems(speeds, place.kept)),
    )


def _disk_speeds(folder: Path, place: Place) -> tuple[DiskSpeed, ...]:
    kept = [Path(one) for one in place.kept if not folder.is_relative_to(one)]
    return tuple(map(read_disk_speed, (folder, *kept)))


def _versions(backend: Backend) -> dict[str, str | None]:
    """Return versions; Keras computes with one of three, the others need not be here."""
    found: dict[str, str | None] = {}
    if backend.name in BACKENDS:
        found = {backend.name: None, **backend_versions(backend.name)}
    return found | {name: version_of(name) for name in _PACKAGES}


def _problems(
    backend: Backend,
    versions: Mapping[str, str | None],
    disk_bytes: int,
    available_bytes: int,
) -> list[str]:
    found = []
    try:
        backend.require()
    except LowmemError as error:
        found.append(f"{str(error).removesuffix('.')}.")
    found += [
        f"{name} is not installed: pip install {name}."
        for name in _PACKAGES
        if versions[name] is None
    ]
    if disk_bytes < _LITTLE_DISK_BYTES:
        found.append(
            f"only {format_bytes(disk_bytes)} of disk are free here: work elsewhere "
            "with --workspace, or free some."
        )
    if available_bytes < _LITTLE_RAM_BYTES:
        found.append(
            f"only {format_bytes(available_bytes)} of RAM are available: end other "
            "programs before training, the largest first."
        )
    binding = binding_problem()
    if binding is not None:
        found.append(f"{binding}.")
    if oom_kills():
        found.append(
            f"the kernel has killed {oom_kills()} processes for lack of memory since "
            "boot: keep --ram-budget below what is available."
        )
    return found

"""What is wanted of one job, and the choices made before it starts: pure but for NVML."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - read when orders are decoded
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lowmem.base.errors import MissingDeviceError
from lowmem.memory.budget import SOFT_SHARE
from lowmem.memory.gpu import GpuSampler
from lowmem.protocol.job_reference import file_and_name
from lowmem.protocol.messages import Plan
from lowmem.protocol.records import PROGRAM
from lowmem.shards.shard import Shard  # noqa: TC001 - read when orders are decoded

if TYPE_CHECKING:
    from lowmem.base.workspace import Workspace
    from lowmem.protocol.messages import PlannedRung
    from lowmem.protocol.planning import Device

# The supervisor's own memory as the budget counts it, without file-backed pages: 16 MiB
# measured while a job runs, see tests/memory/test_supervisor_size.py.
SUPERVISOR_BYTES = 18 * 2**20
# The mirror's process, with a folder: 12 MiB at rest and 19 while it sends, see
# tests/memory/test_mirror_size.py. Libraries of object stores take more.
MIRROR_BYTES = 24 * 2**20
# The reference of a command that is no job's.
EXEC = PROGRAM


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """What the user wants of one job.

    Attributes
    ----------
    reference
        An installed name, a file, or one job of a file.
    command
        What was typed after ``lowmem``, less ``--restart``: it continues the job.
    pins
        Memory settings that the user fixed.
    uses_device
        Whether the job can use a GPU at all; None where it does not say.
    deadline
        Monotonic time at which the time budget ends; None for no limit.
    mirror_bytes
        Of the budget, for the mirror's process; 0 without one.
    typed
        The options of the job that this command line gives: none where the journal,
        lowmem.toml or another job does.
    is_dry
        Whether the command only asks, and begins no job.
    shard, lease_s
        Which share of the blocks is to be made; None for all. Seconds after which others
        may take over a block that it has claimed.
    is_merge
        Whether the blocks of all shards are to be put together.
    """

    reference: str
    command: tuple[str, ...]
    name: str
    unit: str
    options: Mapping[str, object]
    pins: Mapping[str, int]
    seed: int
    device: Literal["auto", "cpu", "gpu"]
    uses_device: bool | None
    ram_budget_bytes: int
    vram_budget_bytes: int | None
    time_budget_s: float | None
    deadline: float | None
    cycle_steps: int | None
    recycle_every: int | None
    is_restart: bool
    is_quiet: bool
    mirror_bytes: int = 0
    typed: tuple[str, ...] = ()
    is_dry: bool = False
    shard: Shard | None = None
    lease_s: int = 0
    is_merge: bool = False

    @property
    def planned_budget_bytes(self) -> int:
        """What the plan may give to the job and its supervisor."""
        return self.ram_budget_bytes - self.mirror_bytes

    def left_s(self, now: float) -> float | None:
        """Return the seconds from monotonic time ``now`` to the deadline."""
        return None if self.deadline is None else self.deadline - now


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOrder:
    """What the user wants of one command.

    Attributes
    ----------
    job
        Its name, budgets, and how it was typed.
    words
        The program and its arguments.
    n_retries
        How often it is started again where it does not end well.
    is_shown
        Whether a terminal shows its progress.
    """

    job: JobOrder
    words: tuple[str, ...]
    n_retries: int
    is_shown: bool = False

    @property
    def recipe(self) -> dict[str, object]:
        """What its state is the result of."""
        return {"command": list(self.words)}


def plan_request(order: JobOrder, space: Workspace, device: Device) -> Plan:
    """Return the question whose answer is the plan of ``order``."""
    return Plan(
        reference=order.reference,
        workspace=str(space.root),
        options=dict(order.options),
        pins=dict(order.pins),
        seed=order.seed,
        device=device,
        ram_budget_bytes=order.ram_budget_bytes,
        typed=order.typed,
        is_dry=order.is_dry,
        is_merge=order.is_merge,
    )


def chosen_device(
    demanded: Literal["auto", "cpu", "gpu"], *, uses_device: bool | None
) -> Device:
    """Return where to run: a job that has no use for a GPU always on the CPU.

    Raises
    ------
    MissingDeviceError
        If a GPU is demanded and there is none, whatever the job.
    """
    if demanded == "cpu" or (demanded == "auto" and uses_device is False):
        return "cpu"
    with GpuSampler() as gpu:
        is_there = gpu.read() is not None
    if demanded == "gpu" and not is_there:
        raise MissingDeviceError(device="gpu", found="no NVIDIA GPU")
    return "gpu" if is_there and uses_device is not False else "cpu"


def is_inside(reference: str, space: Workspace) -> bool:
    """Return whether a job is named by a file that lies in a workspace."""
    found = file_and_name(reference)
    if found is None:
        return False
    return found[0].resolve().is_relative_to(space.root.resolve())


def needed_budget_bytes(rung: PlannedRung) -> int:
    """Return the smallest budget in which a rung of known need is tried."""
    return round(planned_bytes(rung) / SOFT_SHARE)


def planned_bytes(rung: PlannedRung) -> int:
    """Return the predicted peak of the whole job, the supervisor included."""
    return (rung.ram_bytes or 0) + SUPERVISOR_BYTES


def format_size(n_bytes: int) -> str:
    """Return a size as ``--ram-budget`` takes it, rounded up to 10 MB.

    Examples
    --------
    >>> format_size(1_234_567_890)
    '1240M'
    """
    return f"{-(-n_bytes // 10**7) * 10}M"

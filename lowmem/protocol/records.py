"""What the journal holds: one record a line, written by the supervisor alone.

The journal is the history of a workspace; `lowmem.history` says what the records mean
together. Fields of memory are in bytes, and None where nothing was measured.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from lowmem.protocol.messages import Cycle

# Version of the journal, in each `JobBegun`.
FORMAT = 1

State = Literal["done", "running", "stopped", "failed", "refused"]
Outcome = Literal["committed", "interrupted", "rolled_back"]
Verdict = Literal[
    "ram_limit",
    "vram_limit",
    "machine_limit",
    "kernel_oom",
    "signal",
    "time",
    "crash",
    "error",
]
# What became of the wish for a GPU when a run began: nobody had it, it was there, it was
# not.
GpuWish = Literal["unasked", "given", "absent"]
StopCause = Literal["time", "signal"]
# `JobBegun.reference` of a program that is no job of lowmem's: no job has that name.
PROGRAM = "exec"


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that a supervisor ran on.

    Attributes
    ----------
    name
        What it calls itself: two of the same name are told apart by nothing else that
        lasts.
    boot
        The kernel's identity of this boot; empty where it tells none.
    cores
        Processors that the supervisor might use.
    ram_bytes
        Its RAM, or the smallest limit of a control group around the supervisor.
    """

    name: str
    boot: str = ""
    cores: int | None = None
    ram_bytes: int | None = None


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor and all that it started used since it told that last.

    The mirror's process is left out. None where the kernel does not tell.

    Attributes
    ----------
    cpu_s
        Processor time, of programs and of the kernel for them.
    read_bytes, written_bytes
        What was asked for by calls, whether a disk was reached or not; pipes count.
    disk_read_bytes, disk_written_bytes
        What reached a disk, or was given to the page cache for one.
    """

    cpu_s: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    disk_read_bytes: int | None = None
    disk_written_bytes: int | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all records: which job, and when (ISO 8601, UTC)."""

    job: str
    at: str


class JobBegun(Record, frozen=True, kw_only=True):
    """A job began: from nothing, so that all earlier records of it are history, or to do more.

    Attributes
    ----------
    reference
        What is typed to run it: its name, or its file.
    command
        The words after ``lowmem`` that began it, and that continue it.
    extents
        Of what the recipe has more than the run that it goes on from; empty of a job that
        began from nothing. Checkpoints of that run count.
    """

    reference: str
    command: tuple[str, ...] = ()
    recipe: dict[str, Any]
    unit: str
    format: int = FORMAT
    extents: tuple[str, ...] = ()


class RunBegun(Record, frozen=True, kw_only=True):
    """Somebody typed ``lowmem run``: the budgets in force from here on.

    Attributes
    ----------
    memory_key
        A hash of all that its memory depends on beside its settings: what this run
        shows holds for others of the same key.
    source
        A hash of the file that defines the job; empty for an installed one.
    machine, gpu
        None in journals that do not tell. Of a program nobody knows what it asks for, nor
        of a job that does not say whether it uses a GPU.
    """

    seed: int
    ram_budget_bytes: int
    vram_budget_bytes: int | None
    time_budget_s: float | None
    memory_key: str = ""
    source: str = ""
    machine: Machine | None = None
    gpu: GpuWish | None = None


class AttemptBegun(Record, frozen=True, kw_only=True):
    """A worker is ready; ``next_cycle`` is where it goes on.

    Attributes
    ----------
    device_name
        What the driver calls the device; None on the CPU.
    """

    attempt: int
    device: Literal["cpu", "gpu"]
    device_name: str | None = None
    next_cycle: int
    settings: dict[str, int]
    versions: dict[str, str]


class CycleEnded(Record, frozen=True, kw_only=True):
    """A cycle was committed, or cut before it was.

    Attributes
    ----------
    spent
        None in journals that do not tell, and of a cycle that nobody saw.
    """

    attempt: int
    outcome: Outcome
    cycle: Cycle
    ram_start_bytes: int | None = None
    ram_peak_bytes: int | None = None
    ram_end_bytes: int | None = None
    ram_returned_bytes: int | None = None
    ram_hwm_bytes: int | None = None
    vram_peak_bytes: int | None = None
    spent: Spent | None = None


class Incident(Record, frozen=True, kw_only=True):
    """Something ended a worker before its job was done.

    Attributes
    ----------
    signal
        The signal that did, or that asked for it, such as SIGTERM; None for none, and
        in journals that do not tell.
    is_gpu_lost
        Whether the GPU had gone; None in journals that do not tell.
    """

    attempt: int
    verdict: Verdict
    signal: str | None = None
    ram_bytes: int | None
    vram_bytes: int | None = None
    where: str | None
    action: str
    is_gpu_lost: bool | None = None


class Noted(Record, frozen=True, kw_only=True):
    """Something that the job wants whoever reads its results to know."""

    attempt: int
    text: str


class JobEnded(Record, frozen=True, kw_only=True):
    """The run of a job ended, for now or for good.

    Attributes
    ----------
    message
        What the user was told, where it did not end well.
    published
        Names of its results in the workspace, once it is done.
    summary
        What the job says of its result.
    results_sha256
        One checksum of all published files, once it is done: the checkpoint that lists
        them can be made again, if they are as they were.
    stopped_for
        Of a run that was stopped: why. None of any other, of a program that stopped by
        itself, and in journals that do not tell.
    spent, machine
        None in journals that do not tell, and of an end that a repair wrote down.
    """

    state: State
    exit_code: int
    message: str = ""
    published: tuple[str, ...] = ()
    summary: dict[str, Any] = {}
    results_sha256: str = ""
    stopped_for: StopCause | None = None
    spent: Spent | None = None
    machine: Machine | None = None


class Mirrored(Record, frozen=True, kw_only=True):
    """The mirror has confirmed a commit: it survives the loss of this machine.

    Attributes
    ----------
    generation
        Index of the committed cycle.
    is_done
        Whether the job's results are there, instead of its progress.
    """

    generation: int
    is_done: bool


AnyRecord = (
    JobBegun
    | RunBegun
    | AttemptBegun
    | CycleEnded
    | Incident
    | Noted
    | JobEnded
    | Mirrored
)

# Counts of bytes and items stay below; what reads them computes in floats.
_NO_COUNT = 2**63
_LONG = re.compile(rb"\d{19}")
_decoder: msgspec.json.Decoder[AnyRecord] = msgspec.json.Decoder(AnyRecord)


def body_from_record(record: AnyRecord) -> bytes:
    """Return the JSON of a record."""
    return msgspec.json.encode(record)


def record_from_body(body: bytes) -> AnyRecord:
    """Return the record in a JSON body.

    Raises
    ------
    msgspec.DecodeError
        If it holds none, or a number that nothing here can be.
    """
    record = _decoder.decode(body)
    # Most have no number so long, and need not be looked at.
    if _LONG.search(body) and _has_too_large(record):
        raise msgspec.ValidationError("a number of more than 63 bits")
    return record


def _has_too_large(record: msgspec.Struct) -> bool:
    values = [getattr(record, name) for name in record.__struct_fields__]
    parts = [value for value in values if isinstance(value, msgspec.Struct)]
    # Not those of its recipe and summary, which are the job's own.
    settings = getattr(record, "settings", {})
    counts = [*values, *settings.values()]
    is_large = any(isinstance(n, int) and abs(n) >= _NO_COUNT for n in counts)
    return is_large or any(map(_has_too_large, parts))

"""What crosses the pipes between supervisor and worker: one JSON line a message.

The supervisor sends one request (`Describe`, `Plan` or `Run`) and, during a run,
`Drain`, `Proceed` or `Leave`; everything else comes from the worker. Exceptions never
cross: `Failed` does.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from lowmem.protocol.division import Division
from lowmem.protocol.job import Standing
from lowmem.protocol.recipe import Input
from lowmem.protocol.told_jobs import JobDescription, PlannedNeed

# `Failed.kind` of an allocation that failed: in RAM, and on the device.
MEMORY_ERROR = "MemoryError"
DEVICE_MEMORY_ERROR = "DeviceMemoryError"
SETTING_REFUSED_ERROR = "SettingRefusedError"  # see `lowmem.base.errors_recipe`


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all messages; on the wire each names its type."""


# --- requests ---------------------------------------------------------------------


class Describe(Message, frozen=True, kw_only=True):
    """Ask for the descriptions of jobs; ``jobs`` empty means all installed ones."""

    jobs: tuple[str, ...] = ()


class Plan(Message, frozen=True, kw_only=True):
    """Ask what a job would need with these options; see `PlanContext`.

    Its ``reference`` is an installed name, or a file. To put blocks together that were
    made already (``is_merge``) a job needs nothing of its own but its recipe.
    """

    reference: str
    workspace: str
    options: dict[str, Any]
    pins: dict[str, int]
    seed: int
    device: Literal["cpu", "gpu"]
    ram_budget_bytes: int
    typed: tuple[str, ...] = ()
    is_dry: bool = False
    is_merge: bool = False


class Finished(Message, frozen=True, kw_only=True):
    """The job is complete; ``published`` names its results in the workspace.

    Attributes
    ----------
    results_sha256
        One checksum of all the files in them, see `lowmem.checkpoints.sums`; empty
        where an older lowmem made them.
    """

    published: tuple[str, ...]
    summary: dict[str, Any]
    results_sha256: str = ""


class Rebuild(msgspec.Struct, frozen=True, kw_only=True):
    """Which files of a finished result are to be made again.

    Attributes
    ----------
    files
        Their SHA-256 when they were published, by path in the workspace; empty where
        nothing was recorded.
    rows
        Of those that are chunks, the first row of each.
    next_cycle
        What the journal is told as the next cycle: no cycle is undone.
    finished
        What the journal is told again at the end.
    """

    files: dict[str, str]
    rows: dict[str, int]
    next_cycle: int
    finished: Finished


class Run(Message, frozen=True, kw_only=True):
    """Ask for a job to be run, or continued from its last commit.

    Attributes
    ----------
    reference, job
        How the job is found, and its name, under which its progress is kept.
    cycle_steps
        Commit every so many points; None lets the worker choose by time.
    recipe
        Kept in every checkpoint; one of another recipe is never continued.
    time_budget_s, deadline
        Of the whole run, and when it ends by the machine's monotonic clock, which is the
        same for all processes; None for no limit.
    longest_step_seconds, commit_seconds
        Of this job's last committed cycle; None if there is none.
    is_followed
        Whether the supervisor keeps the limit of the worker's allocations at what the
        budget has left; the worker sets the first one itself, before the job begins.
    rebuild
        If given, nothing is continued: files of the finished result are made again.
    marks_at, inputs, part, division
        See `lowmem.worker.state_digests`, `lowmem.worker.input_checks`,
        `lowmem.base.workspace` and `lowmem.protocol.division`.
    """

    reference: str
    job: str
    workspace: str
    options: dict[str, Any]
    settings: dict[str, int]
    recipe: dict[str, Any]
    seed: int
    device: Literal["cpu", "gpu"]
    ram_budget_bytes: int
    vram_budget_bytes: int | None
    cycle_steps: int | None
    time_budget_s: float | None = None
    deadline: float | None = None
    longest_step_seconds: float | None = None
    commit_seconds: float | None = None
    is_followed: bool = False
    rebuild: Rebuild | None = None
    marks_at: tuple[int, ...] | None = None
    inputs: dict[str, Input] = {}
    part: str = ""
    division: Division | None = None


class Drain(Message, frozen=True, kw_only=True):
    """Commit at the next point; an answer to that commit tells what then."""


class Proceed(Message, frozen=True, kw_only=True):
    """Go on after a commit."""


class Leave(Message, frozen=True, kw_only=True):
    """End the process after a commit."""


# --- answers ----------------------------------------------------------------------


class Described(Message, frozen=True, kw_only=True):
    """Answer to `Describe`."""

    jobs: tuple[JobDescription, ...]


PredictionSource = Literal["unknown", "analytic", "calibrated", "remembered"]


class PlannedRung(msgspec.Struct, frozen=True, kw_only=True):
    """One rung of the ladder with its prediction; see `lowmem.protocol.planning.Rung`.

    Attributes
    ----------
    terms
        What memory beyond the analytic prediction is proportional to; see
        `lowmem.protocol.planning.Calibration`.
    source
        Where ``ram_bytes`` comes from: the job's formula, trial runs, or a run that
        went before.
    """

    settings: dict[str, int]
    ram_bytes: int | None
    vram_bytes: int | None
    terms: tuple[float, ...] = ()
    source: PredictionSource = "unknown"


class PlannedTrial(msgspec.Struct, frozen=True, kw_only=True):
    """A trial run that would make the prediction better.

    Attributes
    ----------
    options
        Those that differ from the run's own.
    terms, floor_bytes
        As a rung's ``terms``, and its analytic prediction; 0 where there is none.
    """

    settings: dict[str, int]
    options: dict[str, Any]
    points: int
    terms: tuple[float, ...]
    floor_bytes: int


class Planned(Message, frozen=True, kw_only=True):
    """Answer to `Plan`; where ``missing`` is not empty, the rest is.

    Attributes
    ----------
    inputs
        What options and needs name, by its key in the recipe.
    trials
        Smallest first; empty for a job that declares none.
    memory_key, compare_key
        Hashes of all that the memory of a run, and what its trials make, depend on beside
        its settings; the second is empty where that is not to be compared.
    standing
        See `lowmem.protocol.job.Job`.
    source
        A hash of the file that defines the job; empty for an installed one.
    extents, is_bare
        See `lowmem.protocol.job.Job`.
    given
        The job's options that are not as by default.
    """

    rungs: tuple[PlannedRung, ...] = ()
    missing: tuple[PlannedNeed, ...] = ()
    recipe: dict[str, Any] = {}
    inputs: dict[str, Input] = {}
    trials: tuple[PlannedTrial, ...] = ()
    memory_key: str = ""
    standing: Standing = ""
    source: str = ""
    extents: tuple[str, ...] = ()
    is_bare: bool = False
    given: dict[str, Any] = {}
    compare_key: str = ""


# --- reports of a run -------------------------------------------------------------


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker knows of one committed cycle; kept in its checkpoint too.

    Attributes
    ----------
    index
        Number of the cycle within the job, from 0.
    items
        Items done in it.
    started_at
        ISO 8601, UTC.
    seconds
        From its start until it was durable, ``commit_seconds`` of them for the commit.
    longest_step_seconds
        The longest time between two commit points.
    """

    index: int
    items: int
    started_at: str
    seconds: float
    commit_seconds: float
    settings: dict[str, int]
    longest_step_seconds: float | None = None


class Started(Message, frozen=True, kw_only=True):
    """The worker is ready to run the job's first cycle of this attempt.

    Attributes
    ----------
    next_cycle
        Index of the cycle about to run.
    last_cycle
        The newest commit on the disk, which the journal may have missed.
    note
        What was unusual about the restore, for the user.
    """

    device: Literal["cpu", "gpu"]
    next_cycle: int
    last_cycle: Cycle | None
    versions: dict[str, str]
    note: str = ""


class Progressed(Message, frozen=True, kw_only=True):
    """How far the job is, counted from its very start."""

    done: int
    total: int | None
    note: str


class Logged(Message, frozen=True, kw_only=True):
    """One line for the user; ``is_kept`` asks for it to be in the report too."""

    text: str
    is_kept: bool = False


class Marked(Message, frozen=True, kw_only=True):
    """What a trial has made after so many items: a digest of each part, by its name."""

    items: int
    parts: dict[str, str]


class Committed(Message, frozen=True, kw_only=True):
    """A cycle is durable and cleaned up; the worker waits for `Proceed` or `Leave`.

    Attributes
    ----------
    ram_returned_bytes
        Resident anonymous memory that the clean-up gave back to the system.
    """

    cycle: Cycle
    ram_returned_bytes: int | None


class Failed(Message, frozen=True, kw_only=True):
    """The job cannot go on.

    Attributes
    ----------
    kind, exit_code
        Name of the error's class; of the README's table.
    traceback
        Given only where the job's own code failed.
    where
        ``file.py:123 in function`` of the innermost frame outside libraries.
    """

    kind: str
    exit_code: int
    message: str
    traceback: str = ""
    where: str | None = None


Request = Describe | Plan | Run
WorkerOrder = Drain | Proceed | Leave
Planning = Described | Planned | Failed
Answer = Planning | Started | Progressed | Logged | Marked | Committed | Finished

_request_decoder: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_order_decoder: msgspec.json.Decoder[WorkerOrder] = msgspec.json.Decoder(WorkerOrder)
_answer_decoder: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)


def line_from_message(message: Message) -> bytes:
    """Return a message as one line of JSON, newline included."""
    return msgspec.json.encode(message) + b"\n"


def request_from_line(line: bytes) -> Request:
    """Return the request on one line."""
    return _request_decoder.decode(line)


def order_from_line(line: bytes) -> WorkerOrder:
    """Return the order on one line."""
    return _order_decoder.decode(line)


def answer_from_line(line: bytes) -> Answer:
    """Return the worker's answer on one line."""
    return _answer_decoder.decode(line)

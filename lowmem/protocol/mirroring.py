"""What crosses the pipes between the supervisor and the mirror's process.

The supervisor sends one request, `Recover`, `Keep` or one of `inspecting`, and during `Keep` `JobCommitted`,
`JobDone` and `FinishMirror`; everything else comes from the mirror. A closed pipe ends
the process at once.
"""

from __future__ import annotations

import msgspec

from lowmem.protocol.inspecting import (
    Discard,
    Discarded,
    Fetch,
    Fetched,
    Inspect,
    Inspected,
    StillReading,
)
from lowmem.protocol.messages import Failed, Message


class Recover(Message, frozen=True, kw_only=True):
    """Fill the workspace from its mirror if it is empty, or take it to where that is.

    Attributes
    ----------
    is_repair
        Whether damaged lines of the journal are taken from there too.
    """

    url: str
    workspace: str
    is_repair: bool = False


class Keep(Message, frozen=True, kw_only=True):
    """Send what is committed from here on.

    Attributes
    ----------
    has_data
        Whether large stores are sent too.
    """

    url: str
    workspace: str
    has_data: bool


class JobCommitted(Message, frozen=True, kw_only=True):
    """A job has a newer commit."""

    job: str
    generation: int


class JobDone(Message, frozen=True, kw_only=True):
    """A job is done, and its results are published."""

    job: str
    generation: int
    published: tuple[str, ...]


class FinishMirror(Message, frozen=True, kw_only=True):
    """Nothing more will come: send what is left and say so."""


class RecoveredJob(msgspec.Struct, frozen=True, kw_only=True):
    """What came back of one job; see `lowmem.mirror.names.About`."""

    job: str
    generation: int
    is_done: bool
    at: str


class Answered(Message, frozen=True, kw_only=True):
    """Answer to `Recover`.

    Attributes
    ----------
    jobs
        What came back; empty where nothing did.
    notes
        What the user should know.
    is_changed
        Whether anything was brought to the workspace.
    """

    jobs: tuple[RecoveredJob, ...] = ()
    notes: tuple[str, ...] = ()
    is_changed: bool = False


class Durable(Message, frozen=True, kw_only=True):
    """A generation was sent, read back and marked."""

    job: str
    generation: int
    is_done: bool


class StaysHere(Message, frozen=True, kw_only=True):
    """What a job has made is too large to be sent unasked."""

    job: str
    n_bytes: int
    is_done: bool


class Overtaken(Message, frozen=True, kw_only=True):
    """The results of a job are others by now: those of then are not sent."""

    job: str
    generation: int


class Troubled(Message, frozen=True, kw_only=True):
    """The mirror failed; it is tried again."""

    problem: str


class Mended(Message, frozen=True, kw_only=True):
    """The mirror works again."""


class Shared(Message, frozen=True, kw_only=True):
    """Another machine uses the same mirror; its generations are kept apart."""

    n_generations: int


class AtRest(Message, frozen=True, kw_only=True):
    """Answer to `FinishMirror`: nothing is left to send."""


MirrorRequest = Recover | Keep | Inspect | Fetch | Discard
MirrorOrder = JobCommitted | JobDone | FinishMirror
MirrorAnswer = (
    Answered
    | Durable
    | StaysHere
    | Overtaken
    | Troubled
    | Mended
    | Shared
    | AtRest
    | Inspected
    | Fetched
    | Discarded
    | StillReading
    | Failed
)

_requests: msgspec.json.Decoder[MirrorRequest] = msgspec.json.Decoder(MirrorRequest)
_orders: msgspec.json.Decoder[MirrorOrder] = msgspec.json.Decoder(MirrorOrder)
_answers: msgspec.json.Decoder[MirrorAnswer] = msgspec.json.Decoder(MirrorAnswer)


def mirror_request_from_line(line: bytes) -> MirrorRequest:
    """Return the request on one line."""
    return _requests.decode(line)


def mirror_order_from_line(line: bytes) -> MirrorOrder:
    """Return the order on one line."""
    return _orders.decode(line)


def mirror_answer_from_line(line: bytes) -> MirrorAnswer:
    """Return the mirror's answer on one line."""
    return _answers.decode(line)

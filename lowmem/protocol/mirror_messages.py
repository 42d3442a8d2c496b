"""What crosses the pipes between the supervisor and the mirror's process.

The supervisor sends one request: `Recover`, `Keep`, `Inspect`, `Fetch` or `Discard`;
and during `Keep` `JobCommitted`, `JobDone` and `FinishMirror`. Everything else comes
from the mirror. A closed pipe ends the process at once.
"""

from __future__ import annotations

import msgspec

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


# --- a mirror held against its workspace ----------------------------------------------

# bytes of one request: a pipe takes so much at once, and nothing waits for the rest.
REQUEST_BYTES = 30_000


class Inspect(Message, frozen=True, kw_only=True):
    """Read every generation of a mirror; say what each is and whether it is whole."""

    url: str
    workspace: str


class Fetch(Message, frozen=True, kw_only=True):
    """Bring files of this workspace's own lineage.

    Attributes
    ----------
    folder
        Where they are put, under the names that the answer gives; it is there.
    sha256
        What each must match, by its place in the workspace; empty for a manifest that
        only its own checksum vouches for: then its place tells which it is.
    """

    url: str
    workspace: str
    folder: str
    sha256: dict[str, str]


class Discard(Message, frozen=True, kw_only=True):
    """Delete archives that are not whole, those of this workspace's own lineage only."""

    url: str
    workspace: str
    names: tuple[str, ...]


class HeldGeneration(msgspec.Struct, frozen=True, kw_only=True):
    """One generation that a mirror holds.

    Attributes
    ----------
    is_marked
        Whether its ``.ok`` is there and readable. Without one it may be whole all the
        same; one that is not is what an upload that was cut leaves.
    is_own
        Whether this workspace's journal goes on from its.
    is_current
        Whether its job has not begun anew since.
    is_ahead
        Whether its journal goes on where this workspace's ends.
    problem
        Why it is not whole; empty if it is.
    results_sha256
        Of the list of results' checksums, as `JobEnded` has it; empty for progress.
    """

    name: str
    job: str
    generation: int
    is_done: bool
    is_marked: bool
    is_own: bool
    is_current: bool
    is_ahead: bool = False
    problem: str = ""
    results_sha256: str = ""


class Inspected(Message, frozen=True, kw_only=True):
    """Answer to `Inspect`.

    Attributes
    ----------
    generations
        Newest first.
    nameless
        Archives that do not say what they are although they are marked.
    fragments
        Archives without a marker that do not say what they are, and data that no
        generation refers to, of which some are this lineage's.
    own_fragments
        Those of this lineage.
    """

    generations: tuple[HeldGeneration, ...] = ()
    nameless: tuple[str, ...] = ()
    fragments: tuple[str, ...] = ()
    own_fragments: tuple[str, ...] = ()


class FetchedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was brought: its place in the workspace, its name now, its archive."""

    path: str
    name: str
    archive: str


class Fetched(Message, frozen=True, kw_only=True):
    """Answer to `Fetch`: what the mirror holds of it."""

    files: tuple[FetchedFile, ...] = ()


class Discarded(Message, frozen=True, kw_only=True):
    """Answer to `Discard`: what is gone."""

    names: tuple[str, ...] = ()


class Journals(Message, frozen=True, kw_only=True):
    """Bring every journal that a mirror holds, of whatever workspace and lineage.

    Attributes
    ----------
    url
        Of the mirror, or of one workspace's folder in it.
    folder
        Where they are put, under the names that the answer gives; it is there.
    """

    url: str
    folder: str


class FoundJournal(msgspec.Struct, frozen=True, kw_only=True):
    """A journal that was brought: its name now, and its workspace's folder.

    That is empty where the URL is of the folder itself.
    """

    name: str
    workspace: str


class FoundJournals(Message, frozen=True, kw_only=True):
    """Answer to `Journals`; of archives that are not whole, their places."""

    files: tuple[FoundJournal, ...] = ()
    damaged: tuple[str, ...] = ()


class StillReading(Message, frozen=True, kw_only=True):
    """Bytes go on coming from the mirror."""


# --- on the wire ------------------------------------------------------------------------

MirrorRequest = Recover | Keep | Inspect | Fetch | Discard | Journals
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
    | FoundJournals
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

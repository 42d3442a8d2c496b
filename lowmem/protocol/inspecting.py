"""What crosses the pipes when a mirror is held against its workspace; see `mirroring`."""

from __future__ import annotations

import msgspec

from lowmem.protocol.messages import Message

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


class StillReading(Message, frozen=True, kw_only=True):
    """Bytes go on coming from the mirror."""

"""Names of the files in a mirror, and the descriptions inside them: values only."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal, TypeVar

import msgspec

from lowmem.base.outside import BAD_JSON, refuse_newer_format

FORMAT = 1
ABOUT = "about.json"
CONTENTS = "contents.json"
JOURNAL = ".lowmem/journal.jsonl"
CONFIG = "lowmem.toml"
OK_SUFFIX = ".ok"
_SUFFIXES = {"generation": ".lowmem", "data": ".data"}
_NAME = re.compile(
    r"([a-z0-9][a-z0-9_-]*)-(\d{12})-([0-9a-f]{8})(\.lowmem|\.data)", re.ASCII
)
_RESERVED = {".lowmem", "report.html", CONFIG}

ArchiveKind = Literal["generation", "data"]


@dataclass(frozen=True, slots=True, order=True)
class ArchiveName:
    """The name of an archive.

    Attributes
    ----------
    sequence
        Bytes of the journal when it was made: grows with every commit of a workspace.
    token
        Random, new for every attempt to write one: no name is ever used twice.
    """

    sequence: int
    job: str
    token: str
    kind: ArchiveKind = "generation"

    # `typing.override`, which mypy would have here, came with Python 3.12.
    def __str__(self) -> str:  # type: ignore[explicit-override]
        suffix = _SUFFIXES[self.kind]
        return f"{self.job}-{self.sequence:012d}-{self.token}{suffix}"

    @property
    def ok(self) -> str:
        """Name of the marker beside it."""
        return str(self) + OK_SUFFIX


def archive_name(text: str) -> ArchiveName | None:
    """Return what a file name says; None for a file that is no archive.

    Examples
    --------
    >>> archive_name("train-000000004711-0badcafe.lowmem").sequence
    4711
    >>> archive_name("train (1).lowmem") is None
    True
    """
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    job, sequence, token, suffix = found.groups()
    kind: ArchiveKind = "data" if suffix == _SUFFIXES["data"] else "generation"
    return ArchiveName(int(sequence), job, token, kind)


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first member of an archive: what it is.

    Attributes
    ----------
    generation
        The commit of the job that it holds.
    is_done
        Whether it holds the job's results instead of its progress.
    journal_sha256
        Of the journal that it holds, whose length is the sequence in its name. The
        journal of every workspace that came from this generation begins with it.
    at
        When it was made: ISO 8601, UTC.
    """

    format: int = FORMAT
    job: str
    generation: int
    is_done: bool
    sequence: int
    journal_sha256: str
    at: str


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of the workspace.

    Attributes
    ----------
    path
        Relative to the workspace.
    member
        Its name within the archive.
    archive
        The ``.data`` archive that holds it; empty for this one.
    mtime_ns
        Kept, since a large file is told from another by it.
    """

    path: str
    size_bytes: int
    sha256: str
    mtime_ns: int
    member: str
    archive: str = ""


class Contents(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last member of an archive: every file of the generation with its checksum."""

    format: int = FORMAT
    about: About
    entries: tuple[Entry, ...]

    @property
    def archives(self) -> frozenset[str]:
        """The ``.data`` archives that it needs."""
        return frozenset(e.archive for e in self.entries if e.archive)


class _Sealed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Contents with the checksum of their bytes."""

    sha256: str
    contents: msgspec.Raw


class Ok(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The marker: written, and read back, once the archive has been read back whole."""

    format: int = FORMAT
    size_bytes: int
    sha256: str
    about: About
    archives: tuple[str, ...] = ()


_T = TypeVar("_T", About, Contents, Ok)


def decoded(data: bytes, kind: type[_T]) -> _T | None:
    """Return a description; None if it is damaged or of another format."""
    try:
        value = msgspec.json.decode(data, type=kind)
    except BAD_JSON:
        return None
    return value if value.format == FORMAT else None


def bytes_from_contents(contents: Contents) -> bytes:
    """Return what is written: JSON with the checksum of its own content."""
    body = msgspec.json.encode(contents)
    sha256 = hashlib.sha256(body).hexdigest()
    return msgspec.json.encode(_Sealed(sha256=sha256, contents=msgspec.Raw(body)))


def contents_from_bytes(data: bytes, place: str = CONTENTS) -> Contents | None:
    """Return the contents; None if they are damaged.

    Parameters
    ----------
    place
        Where they lie, for the message.

    Raises
    ------
    NewerFormatError
        If a newer lowmem wrote them.
    """
    try:
        sealed = msgspec.json.decode(data, type=_Sealed)
    except BAD_JSON:
        return None
    body = bytes(sealed.contents)
    if hashlib.sha256(body).hexdigest() != sealed.sha256:
        return None
    refuse_newer_format(body, path=place, known=FORMAT)
    return decoded(body, Contents)


def is_safe(path: str, job: str) -> bool:
    """Return whether a generation of ``job`` may bring a file to this place.

    That is: results anywhere but in the places of others, the journal, the options, and
    the job's own checkpoints and results in the making.

    Examples
    --------
    >>> is_safe("model/encoder.keras", "train")
    True
    >>> is_safe("../secret", "train"), is_safe(".lowmem/lock", "train")
    (False, False)
    """
    parts = PurePosixPath(path).parts
    is_normal = bool(parts) and "/".join(parts) == path and "\0" not in path
    if not is_normal or ".." in parts:
        return False
    if path in {JOURNAL, CONFIG}:
        return True
    own = (".lowmem", "jobs", job)
    if parts[:3] == own:
        return len(parts) > len(own) + 1 and parts[3] in {"checkpoints", "staging"}
    return parts[0] not in _RESERVED

"""What a checkpoint says of itself: its manifest, format 1."""

from __future__ import annotations

import reprlib
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lowmem.base.errors import StateError
from lowmem.base.outside import BAD_JSON, refuse_newer_format
from lowmem.protocol.messages import Cycle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = 1
MANIFEST = "manifest.json"
ARRAYS = "state.npz"

Phase = Literal["running", "publishing"]


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Size and SHA-256 of one file of the checkpoint."""

    size_bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Description of one checkpoint.

    Attributes
    ----------
    format
        Version of this format; a newer one is refused.
    generation
        Number of the commit within the job, from 0; the cycle has the same index.
    recipe
        What the result depends on: options, seed, inputs, version of the job.
    phase
        ``publishing`` once the job is complete: only its results remain to be moved.
    state
        The job's own JSON values.
    publish, summary
        The job's `Result`, in phase ``publishing``.
    environment
        Device, versions and flags under which it was written.
    files
        Every other file of the folder.
    results
        Every file of the results by its path in the workspace, in phase ``publishing``;
        empty where an older lowmem wrote it.
    goes_on_from
        In phase ``publishing``: the generation from which a run that asks for more goes
        on; None where there is none.
    """

    format: int = FORMAT
    generation: int
    recipe: dict[str, Any]
    cycle: Cycle
    phase: Phase = "running"
    state: dict[str, Any] = {}
    publish: tuple[str, ...] = ()
    summary: dict[str, Any] = {}
    environment: dict[str, str] = {}
    files: dict[str, FileEntry] = {}
    results: dict[str, FileEntry] = {}
    goes_on_from: int | None = None


class _Telling(msgspec.Struct, frozen=True):
    """The one field that tells what was done."""

    cycle: Cycle


_decoder = msgspec.json.Decoder(Manifest)


def bytes_from_manifest(manifest: Manifest) -> bytes:
    """Return the file's content, with a checksum of its own in the first line."""
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    return b"lowmem-manifest %s\n%s\n" % (_digest(body), body)


def manifest_from_bytes(data: bytes) -> Manifest | None:
    """Return the manifest, or None if the content is damaged or of another format."""
    body = _whole_body(data)
    if body is None:
        return None
    try:
        manifest = _decoder.decode(body)
    except BAD_JSON:
        return None
    return manifest if manifest.format == FORMAT else None


def told_cycle(data: bytes) -> Cycle | None:
    """Return the cycle that a manifest names, held against no checksum."""
    try:
        return msgspec.json.decode(data.partition(b"\n")[2], type=_Telling).cycle
    except BAD_JSON:
        return None


def refuse_newer(data: bytes, path: Path) -> None:
    """Refuse a manifest that is whole and of a format that this version does not know.

    Raises
    ------
    NewerFormatError
        Naming the file and both versions.
    """
    body = _whole_body(data)
    if body is not None:
        refuse_newer_format(body, path=path, known=FORMAT)


def _whole_body(data: bytes) -> bytes | None:
    """Return what follows the checksum in the first line, if it matches."""
    head, _, rest = data.partition(b"\n")
    body = rest[:-1]
    is_whole = head == b"lowmem-manifest " + _digest(body) and rest[-1:] == b"\n"
    return body if is_whole else None


def refuse_unfaithful(manifest: Manifest) -> None:
    """Refuse values of a job that JSON would change, or cannot hold.

    The state must come back equal, a tuple as a list: a job that goes on from another
    state gives another result. The summary, which is only read, may hold numbers that
    are not finite; they become null.

    Raises
    ------
    StateError
        Naming the first such key.
    """
    for key, value in manifest.state.items():
        if not _is_same({key: value}, _back({key: value})):
            raise StateError(place="state", key=key, value=reprlib.repr(value))
    for key, value in manifest.summary.items():
        if _back({key: value}) is None:
            raise StateError(place="summary", key=key, value=reprlib.repr(value))


def _back(values: Mapping[str, Any]) -> object:
    """Return what reading would give; None for what cannot be written."""
    try:
        return msgspec.json.decode(msgspec.json.encode(values))
    except (TypeError, ValueError, RecursionError):
        return None


def _is_same(value: object, back: object) -> bool:
    if isinstance(value, list | tuple) and isinstance(back, list):
        return len(value) == len(back) and all(map(_is_same, value, back))
    if isinstance(value, dict) and isinstance(back, dict):
        is_keys = value.keys() == back.keys()
        return is_keys and all(_is_same(value[key], back[key]) for key in back)
    return type(value) is type(back) and value == back


def _digest(body: bytes) -> bytes:
    # Loaded where it is used: it brings 3 MiB of OpenSSL, and the supervisor, which
    # imports this file, takes no sum.
    import hashlib  # noqa: PLC0415

    return hashlib.sha256(body).hexdigest().encode()

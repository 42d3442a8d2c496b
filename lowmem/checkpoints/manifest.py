"""What a checkpoint says of itself: its manifest, format 1."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import msgspec

from lowmem.protocol.messages import Cycle

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
        Version of this format; another one is refused.
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


_decoder = msgspec.json.Decoder(Manifest)


def bytes_from_manifest(manifest: Manifest) -> bytes:
    """Return the file's content, with a checksum of its own in the first line."""
    body = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    return b"lowmem-manifest %s\n%s\n" % (_digest(body), body)


def manifest_from_bytes(data: bytes) -> Manifest | None:
    """Return the manifest, or None if the content is damaged or of another format."""
    head, _, body = data.partition(b"\n")
    body = body.removesuffix(b"\n")
    if head != b"lowmem-manifest " + _digest(body):
        return None
    try:
        manifest = _decoder.decode(body)
    except msgspec.DecodeError:
        return None
    return manifest if manifest.format == FORMAT else None


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()

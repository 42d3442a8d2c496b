"""Where an ingest stands: the state that its commits keep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestProgress:
    """Where an ingest stands between two steps: with the images that wait, all of it.

    Attributes
    ----------
    unpacked_bytes
        Bytes of a compressed archive that are unpacked, while it is.
    n_seen
        Entries of the source that are dealt with.
    n_before
        Images that were in the store before the first entry.
    n_stored, n_skipped
        Images that are stored or wait to be, those before included; and how many
        entries are listed as unreadable.
    n_taken
        How many of these are images whose names the store had before.
    n_short
        How many images are stored without their ends.
    waiting
        Numbers of the entries whose images do not fill a chunk yet.
    digest
        SHA-256 of the digest before and the bytes of the last image, from one image to
        the next; empty before the first. It does not depend on chunks or codec.
    report_bytes
        Length of the report.
    codec, codec_reason
        The compression, and why it was chosen; empty before it was, and where the user
        chose it.
    labels_sha256
        Of the table of labels that it was begun with; empty where there is none.
    first_reasons
        Why the first skipped entries were, for the message should nothing be readable.
    """

    unpacked_bytes: int = 0
    n_seen: int = 0
    n_before: int = 0
    n_stored: int = 0
    n_skipped: int = 0
    n_taken: int = 0
    n_short: int = 0
    waiting: tuple[int, ...] = ()
    digest: str = ""
    report_bytes: int = 0
    codec: str = ""
    codec_reason: str = ""
    labels_sha256: str = ""
    first_reasons: tuple[str, ...] = ()

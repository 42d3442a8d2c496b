"""What is said of a picture that only a library reads which is not installed."""

from __future__ import annotations

from lowmem_jobs.ingest.unreadable import UnreadableError


def without_extra(title: str, extra: str) -> UnreadableError:
    """Return why a picture is skipped: what it is, and what would read it."""
    return UnreadableError(f"{title}: read with pip install 'lowmem[{extra}]'")

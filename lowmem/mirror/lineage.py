"""How two journals stand to each other: pure.

A journal only grows, and each of its lines says to the millisecond when it was written.
So two journals with equal lines in the same places come from one history, and a line
that one of them has lost, at its end or in the middle, is the other's.
"""

from __future__ import annotations

from lowmem.base.journal import body_from_line


def is_ahead(ours: bytes, theirs: bytes) -> bool:
    r"""Return whether ``theirs`` goes on where ``ours`` ends, which has a line at least.

    Examples
    --------
    >>> is_ahead(b"1\n", b"1\n2\n"), is_ahead(b"1\n2\n", b"1\n")
    (True, False)
    """
    return bool(ours) and len(theirs) > len(ours) and theirs.startswith(ours)


def is_damaged(journal: bytes) -> bool:
    """Return whether any line of a journal does not match its checksum."""
    return any(body_from_line(line) is None for line in _lines(journal))


def rejoined(ours: bytes, theirs: bytes) -> bytes | None:
    """Return ``ours`` with those of its damaged lines that ``theirs`` has.

    Returns
    -------
    journal
        None if the two have parted, or nothing tells that they ever were one.

    Notes
    -----
    Nothing of ``ours`` that is whole is left out, and nothing is added at its end. A
    damaged line counts as theirs only where a later one is common: else the two may
    have parted with it.
    """
    mine, others = _lines(ours), _lines(theirs)
    n_common = 0
    for place, (line, other) in enumerate(zip(mine, others, strict=False), start=1):
        if line == other:
            n_common = place
        elif body_from_line(line) is not None:
            return None
    return b"".join([*others[:n_common], *mine[n_common:]]) if n_common else None


def _lines(journal: bytes) -> list[bytes]:
    """Return the lines, ends included; `bytes.splitlines` would split at more."""
    return [line + b"\n" for line in journal.split(b"\n")[:-1]]

"""What the files of a shared folder say, by their names alone. Pure.

A name is listed or it is not: it cannot be half written, as a file's content can where
storage is slow or a process is killed. So what is decided upon is told by names, none of
which is ever used twice:

    0000005of0000048.001.0badcafe0badcafe.900.0003of0016-host-1a2b3c4d.claim
    0000005of0000048.001.0badcafe0badcafe.block
    0000005of0000048.001.0badcafe0badcafe.4198412.<SHA-256>.done
    0000005of0000048.001.0badcafe0badcafe.void

Block 5 of 48, first attempt, a random token. A claim has a lease in seconds and its
holder; ``block`` holds the rows; ``done`` says how many bytes these are and their
checksum; ``void`` takes that back. What has any other name (a synchronised folder's
``... (1).done``) is nobody's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_STEM = r"(\d{7})of(\d{7})\.(\d{3,9})\.([0-9a-f]{16})"
_CLAIM = re.compile(_STEM + r"\.(\d{1,9})\.([A-Za-z0-9_-]{1,100})\.claim", re.ASCII)
_DONE = re.compile(_STEM + r"\.(\d{1,15})\.([0-9a-f]{64})\.done", re.ASCII)
_VOID = re.compile(_STEM + r"\.void", re.ASCII)
_HOLDER = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
# Names are padded to so many digits.
MOST_BLOCKS = 9_999_999


@dataclass(frozen=True, slots=True, order=True)
class BlockAttempt:
    """One attempt at one block.

    Attributes
    ----------
    block, n_blocks
        Which of how many.
    number
        From 1; a block that is taken over has the next.
    token
        Random: two attempts of the same number are two.
    """

    block: int
    n_blocks: int
    number: int
    token: str

    def __post_init__(self) -> None:
        if not 0 <= self.block < self.n_blocks <= MOST_BLOCKS:
            raise ValueError(
                f"blocks must be 0 to n_blocks - 1 and {MOST_BLOCKS} at most, got {self!r}"
            )

    # `typing.override`, which mypy would have here, came with Python 3.12.
    def __str__(self) -> str:  # type: ignore[explicit-override]
        return f"{self.block:07d}of{self.n_blocks:07d}.{self.number:03d}.{self.token}"

    @property
    def file(self) -> str:
        """Name of the file that holds its rows."""
        return f"{self}.block"

    @property
    def void(self) -> str:
        """Name of the marker that takes its output back."""
        return f"{self}.void"


@dataclass(frozen=True, slots=True)
class Claim:
    """Somebody is at work on a block.

    Attributes
    ----------
    lease_s
        After so many seconds without an output others may take the block over.
    holder
        Who: the shard, and the kernel that it runs on.
    """

    attempt: BlockAttempt
    lease_s: int
    holder: str

    def __post_init__(self) -> None:
        if _HOLDER.fullmatch(self.holder) is None:
            raise ValueError(
                f"holder must be letters, digits, - and _, got {self.holder!r}"
            )

    def __str__(self) -> str:  # type: ignore[explicit-override]
        return f"{self.attempt}.{self.lease_s}.{self.holder}.claim"


@dataclass(frozen=True, slots=True)
class Output:
    """The rows of a block are whole, in the attempt's file."""

    attempt: BlockAttempt
    n_bytes: int
    sha256: str

    def __str__(self) -> str:  # type: ignore[explicit-override]
        return f"{self.attempt}.{self.n_bytes}.{self.sha256}.done"


@dataclass(frozen=True, slots=True)
class Void:
    """An output was found damaged, and does not count."""

    attempt: BlockAttempt

    def __str__(self) -> str:  # type: ignore[explicit-override]
        return self.attempt.void


Marker = Claim | Output | Void


def marker_of(name: str) -> Marker | None:
    """Return what a name says; None if it is no marker's.

    Examples
    --------
    >>> claim = Claim(BlockAttempt(5, 48, 1, "0badcafe0badcafe"), 900, "0003of0016-host-1a")
    >>> marker_of(str(claim)) == claim
    True
    >>> marker_of(str(claim).replace(".claim", " (1).claim")) is None
    True
    """
    try:
        return _marker_of(name)
    except ValueError:
        # A block beyond the last: nobody wrote that.
        return None


def _marker_of(name: str) -> Marker | None:
    if found := _CLAIM.fullmatch(name):
        lease_s, holder = found.groups()[4:]
        return Claim(_attempt(found), int(lease_s), holder)
    if found := _DONE.fullmatch(name):
        n_bytes, sha256 = found.groups()[4:]
        return Output(_attempt(found), int(n_bytes), sha256)
    found = _VOID.fullmatch(name)
    return None if found is None else Void(_attempt(found))


def _attempt(found: re.Match[str]) -> BlockAttempt:
    block, n_blocks, number, token = found.groups()[:4]
    return BlockAttempt(int(block), int(n_blocks), int(number), token)

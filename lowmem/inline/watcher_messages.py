"""What crosses between the watcher and the process that it watches: JSON lines."""

from __future__ import annotations

from typing import Literal

import msgspec


class Word(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all messages; on the wire each names its type."""


class Ready(Word, frozen=True, kw_only=True):
    """The watch begins; ``ram_bytes`` is what is in use already."""

    ram_bytes: int


class Breached(Word, frozen=True, kw_only=True):
    """The budget is used up: what was started in the block was killed.

    Attributes
    ----------
    verdict
        ``machine_limit`` if it is the machine that has no memory left.
    ram_bytes
        What was in use of what the budget counts.
    unmapped_bytes
        Of it, new shared memory that what is watched does not map, whoever added it.
    """

    verdict: Literal["ram_limit", "machine_limit"]
    ram_bytes: int
    unmapped_bytes: int


class Ended(Word, frozen=True, kw_only=True):
    """The watch is over.

    Attributes
    ----------
    peak_bytes
        The largest reading of what the budget counts.
    hwm_bytes
        The kernel's high-water marks since the start, summed over the processes;
        file-backed pages included.
    """

    peak_bytes: int
    hwm_bytes: int


class Follow(Word, frozen=True, kw_only=True):
    """Limit allocations to so many bytes, or the less that other processes leave."""

    most_bytes: int


class Pause(Word, frozen=True, kw_only=True):
    """Leave the limit of allocations alone."""


class WatchChild(Word, frozen=True, kw_only=True):
    """Of what is watched, this process is to be killed; its stacks go to a file."""

    pid: int
    stacks: str


class End(Word, frozen=True, kw_only=True):
    """End the watch."""


AnyWord = Ready | Breached | Ended
AnyOrder = Follow | Pause | WatchChild | End

_words: msgspec.json.Decoder[AnyWord] = msgspec.json.Decoder(AnyWord)
_orders: msgspec.json.Decoder[AnyOrder] = msgspec.json.Decoder(AnyOrder)


def line_from_word(word: AnyWord | AnyOrder) -> bytes:
    """Return a message as one line of JSON, newline included."""
    return msgspec.json.encode(word) + b"\n"


def word_from_line(line: bytes) -> AnyWord:
    """Return what the watcher says on one line."""
    return _words.decode(line)


def order_from_line(line: bytes) -> AnyOrder:
    """Return what the watcher is told on one line."""
    return _orders.decode(line)

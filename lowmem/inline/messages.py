"""What the watcher says to the process that it watches: one JSON line a message."""

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
    """

    verdict: Literal["ram_limit", "machine_limit"]
    ram_bytes: int


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


AnyWord = Ready | Breached | Ended

_decoder: msgspec.json.Decoder[AnyWord] = msgspec.json.Decoder(AnyWord)


def line_from_word(word: AnyWord) -> bytes:
    """Return a message as one line of JSON, newline included."""
    return msgspec.json.encode(word) + b"\n"


def word_from_line(line: bytes) -> AnyWord:
    """Return the message on one line."""
    return _decoder.decode(line)

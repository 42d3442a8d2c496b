"""A shard as a process of its own: started, signalled, ended, with what it says kept."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from lowmem.base.child import Owned, started
from lowmem.base.clock import SystemClock
from lowmem.base.files import make_folder, storage_errors
from lowmem.base.outside import stream_of
from lowmem.engines.next_step import ShardEnd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CLOCK = SystemClock()
# Bytes of a log's end in which its last paragraph is looked for.
_TAIL_BYTES = 2**14
# What lowmem says of itself begins so, see `lowmem.base.stderr.paragraph`.
_OWN = "lowmem: "


class ShardProcess:
    """``lowmem WORDS`` in a session of its own; it dies with the thread that starts it.

    Parameters
    ----------
    index
        Which shard it is.
    words
        After ``lowmem``.
    folder
        Its current folder.
    log
        What it prints is added to this file.
    """

    def __init__(
        self, index: int, words: Sequence[str], *, folder: str, log: Path
    ) -> None:
        self._index, self._log = index, log
        self._began_s = _CLOCK.monotonic()
        line = [sys.executable, "-m", "lowmem.engines.tied", str(os.getpid()), folder]
        make_folder(log.parent)
        with storage_errors(log), log.open("ab") as stream:
            self._from_byte = stream.tell()
            # No key of a terminal reaches it: signals are handed on, each once.
            process = started(
                [*line, *words],
                stdout=stream.fileno(),
                stderr=stream.fileno(),
                is_apart=True,
                hears_stops=True,
            )
        self._process = Owned(process, has_group=True)

    def has_ended(self) -> bool:
        """Return whether it has ended."""
        return self._process.has_exited()

    def signal(self, number: int) -> None:
        """Hand a signal on to it."""
        self._process.signal(number)

    def kill(self) -> None:
        """Kill it; `end` reaps it."""
        self._process.kill()

    def end(self) -> ShardEnd:
        """Wait for its end and return how it ended."""
        status = self._process.wait().status
        return ShardEnd(
            index=self._index,
            status=status,
            said=last_paragraph(self._log, self._from_byte),
            lasted_s=_CLOCK.monotonic() - self._began_s,
        )


def last_paragraph(log: Path, from_byte: int = 0) -> str:
    """Return what lowmem said last of itself in a log, in one line; empty for nothing.

    Parameters
    ----------
    from_byte
        Where what is of interest begins.
    """
    try:
        with stream_of(log) as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(from_byte, size - _TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return paragraph_in(text)


def paragraph_in(text: str) -> str:
    r"""Return the last paragraph in which lowmem says something of itself.

    Examples
    --------
    >>> paragraph_in("encode: planning\nlowmem: it is full, expected\nless. Remove some.\n")
    'it is full, expected less. Remove some.'
    """
    _, found, said = f"\n{text}".rpartition(f"\n{_OWN}")
    return " ".join(said.split()) if found else ""

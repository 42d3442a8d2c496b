"""Tell the user something on stderr; a terminal that is gone ends no run."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from lowmem.base.wrapping import wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO


def tell(text: str) -> None:
    """Write a line to stderr."""
    with unless_gone():
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def paragraph(text: str) -> str:
    """Return what lowmem says of itself, as one paragraph."""
    words = without_controls(" ".join(text.split()))
    return filled(f"lowmem: {words}", 88)


def filled(text: str, at_most: int) -> str:
    """Return a text in lines that a terminal need not break, of so many columns at most."""
    width = min(at_most, columns_of(sys.stderr) or at_most)
    return "\n".join(wrapped(text, width))


def columns_of(stream: TextIO) -> int:
    """Return how many columns the terminal of a stream has; 0 where none tells it."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 0


def without_controls(text: str) -> str:
    r"""Return a text whose control characters a terminal shows and does not obey.

    Names of files and the words of a workspace may be anybody's.

    Examples
    --------
    >>> print(without_controls("a\x1b[31mb"))
    a\x1b[31mb
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    # C0 and C1, with which a terminal is told what to do.
    is_control = character < " " or "\x7f" <= character < "\xa0"
    is_shown = is_control and character not in "\n\t"
    return repr(character)[1:-1] if is_shown else character


@contextlib.contextmanager
def unless_gone() -> Iterator[None]:
    """Let a write to stderr fail where its terminal is gone.

    With its window closed or its notebook's kernel ended nobody reads any more. What
    comes later goes nowhere, what Python writes when it ends too, since that would
    change the exit code.
    """
    try:
        yield
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stderr.fileno())
        os.close(nowhere)

"""Break a text into lines where a reader can still copy what stands in it."""

from __future__ import annotations

import textwrap


def wrapped(text: str, width: int, *, first: str = "", later: str = "") -> list[str]:
    """Return a text as lines of at most ``width`` columns; a longer word stays whole.

    Options and paths are not broken: they are there to be copied.

    Parameters
    ----------
    first, later
        What the first line and all others begin with.

    Examples
    --------
    >>> wrapped("Raise --ram-budget", 12, later="  ")
    ['Raise', '  --ram-budget']
    """
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )

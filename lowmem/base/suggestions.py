"""What was probably meant by a word that nobody knows."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the known word that is nearest, as a question; empty if none is near.

    Examples
    --------
    >>> did_you_mean("trian", ["ingest", "train"]), did_you_mean("fly", ["train"])
    (' (did you mean train?)', '')
    """
    others = [other for other in known if other != word]
    near = difflib.get_close_matches(word, others, 1)
    return f" (did you mean {near[0]}?)" if near else ""

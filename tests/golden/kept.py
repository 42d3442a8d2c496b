"""The texts that are kept, and how what is seen is held against them."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.golden import notebooks, sessions

if TYPE_CHECKING:
    from collections.abc import Callable

TEXTS = Path(__file__).parent / "texts"

# Where -> the sittings that are played there. What the width changes nothing of is
# played at 80 columns and in the pipe; so are the sessions that take longest.
_AT_ALL_WIDTHS = (sessions.looking, sessions.running)
_ONCE = (sessions.looking_further, sessions.killed)
SITTINGS: dict[str, tuple[Callable[[int | None], dict[str, str]], ...]] = {
    "40": _AT_ALL_WIDTHS,
    "80": (*_AT_ALL_WIDTHS, *_ONCE, sessions.stopping_at_once, sessions.training),
    "200": _AT_ALL_WIDTHS,
    "pipe": (*_AT_ALL_WIDTHS, *_ONCE),
    "script": (sessions.scripted,),
    "resized": (sessions.resized,),
    "jupyter": (notebooks.jupyter,),
    "ipython": (notebooks.ipython,),
}


def play(where: str, sitting: str) -> dict[str, str]:
    """Play a sitting; return its texts by their names."""
    (of,) = (one for one in SITTINGS[where] if one.__name__ == sitting)
    return of(int(where) if where.isdecimal() else None)


def folder_of(where: str, sitting: str) -> Path:
    """Return the folder in which the texts of a sitting are kept."""
    return TEXTS / where / sitting


def keep(where: str, sitting: str, texts: dict[str, str]) -> list[Path]:
    """Keep the texts of a sitting and no others; return their files."""
    folder = folder_of(where, sitting)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [folder / f"{name}.txt" for name in texts]
    for file, text in zip(files, texts.values(), strict=True):
        file.write_text(text, encoding="utf-8")
    return files


def check(where: str, sitting: str, texts: dict[str, str]) -> None:
    """Assert that the texts of a sitting are those that are kept, and no others.

    Raises
    ------
    AssertionError
        With what differs, and what to do if that is meant.
    """
    files = folder_of(where, sitting).glob("*.txt")
    kept = {file.stem: file.read_text(encoding="utf-8") for file in files}
    found = [
        f"{name}\n{told}"
        for name in sorted(kept.keys() | texts.keys())
        if (told := difference(kept.get(name, ""), texts.get(name, "")))
    ]
    again = f"If this is meant: python -m tests.golden.record {where}/{sitting}"
    assert not found, "\n\n".join([*found, f"{again}, and read what changed."])


def difference(kept: str, seen: str) -> str:
    """Return what differs between a kept text and what was seen; empty if nothing."""
    lines = difflib.unified_diff(
        kept.split("\n"), seen.split("\n"), "kept", "seen", lineterm="", n=1
    )
    return "\n".join(lines)

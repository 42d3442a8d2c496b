"""The line that carries a job on, as it is to be typed where its workspace lies now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAG = "--workspace"


def command_here(words: Sequence[str], workspace: Path | str) -> list[str]:
    """Return a line that was typed, for the same workspace where it lies now.

    It may have been moved since, or the line been typed in another folder. A line that
    names no workspace stays as it is.

    Examples
    --------
    >>> command_here(["run", "encode", "--workspace", "w", "--seed", "2"], "/data/w")
    ['run', 'encode', '--workspace', '/data/w', '--seed', '2']
    >>> command_here(["exec", "--", "sh", "--workspace=w"], "/data/w")
    ['exec', '--', 'sh', '--workspace=w']
    """
    found = list(words)
    for n, word in enumerate(words):
        if word == "--":
            break  # What follows is a command's own.
        if word == _FLAG and n + 1 < len(words):
            found[n + 1] = _here(words[n + 1], workspace)
        elif word.startswith(f"{_FLAG}="):
            found[n] = f"{_FLAG}={_here(word.partition('=')[2], workspace)}"
    return found


def _here(typed: str, workspace: Path | str) -> str:
    return (
        typed
        if Path(typed).absolute() == Path(workspace).absolute()
        else str(workspace)
    )

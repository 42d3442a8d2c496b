"""What names a job on a command line: an installed name, a file, or one job of a file."""

from __future__ import annotations

from pathlib import Path

_SUFFIX = ".py"


def file_and_name(reference: str) -> tuple[Path, str] | None:
    """Return the file of ``FILE.py`` or ``FILE.py:NAME`` and the name, empty without one.

    None where no file is named.

    Examples
    --------
    >>> file_and_name("jobs.py:clean")[1], file_and_name("jobs.py")[1]
    ('clean', '')
    >>> print(file_and_name("train"), file_and_name("jobs.py:"))
    None None
    """
    if reference.endswith(_SUFFIX):
        return Path(reference), ""
    file, _, name = reference.rpartition(":")
    return (Path(file), name) if name and file.endswith(_SUFFIX) else None


def in_file(file: Path | str, name: str) -> str:
    """Return what is typed for one job of a file."""
    return f"{file}:{name}"

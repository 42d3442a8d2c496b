"""What the site shows of files that are no pages: findings, and the notebooks' text."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FIRST = "quickstart"
_CELL = re.compile(r"^# %%", re.MULTILINE)


def findings_text(folder: Path = ROOT / "findings") -> str:
    """Return, for each finding, its file and what its first comment says."""
    parts = []
    for path in sorted(folder.iterdir()):
        parts += [f"## `{path.name}`", *_comment_of(path)]
    return "\n\n".join(parts)


def _comment_of(path: Path) -> list[str]:
    """Return the comment at the top of a script: what is said, and what was seen."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("#!"):
            lines.append(_escaped(line.lstrip("# ")))
    said, seen, rest = "\n".join(lines).partition("\nSeen: ")
    return [said, f"{seen.strip()} {rest}"] if seen else [said]


def _escaped(text: str) -> str:
    """Return a text of which Markdown makes nothing else."""
    return re.sub(r"([\\*_\[\]<>`])", r"\\\1", text)


def notebooks_text(folder: Path = ROOT / "colab") -> str:
    """Return the notebooks from their text form, the one to begin with first."""
    paths = sorted(folder.glob("*.py"), key=lambda path: (path.stem != _FIRST, path))
    cells = [
        cell
        for path in paths
        for cell in re.split(_CELL, path.read_text(encoding="utf-8"))
    ]
    parts = map(_cell, cells)
    return "\n\n".join(part for part in parts if part)


def _cell(cell: str) -> str:
    if not cell.startswith(" [markdown]"):
        code = re.sub(r"^# (?=[%!])", "", cell.strip(), flags=re.MULTILINE)
        return f"```python\n{code}\n```" if code else ""
    text = re.sub(r"^# ?", "", cell.partition("\n")[2], flags=re.MULTILINE).strip()
    # All are on one page, below its title.
    return re.sub(r"^#", "##", text, flags=re.MULTILINE)

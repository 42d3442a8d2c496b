"""The environments in which lowmem is tried, and what is installed in each.

Values only. A row is a Python, what is there before lowmem comes, and what pip is told
when it does. Rows called after Colab rebuild a published list of its packages, and then
install the wheel as a user does: without constraints.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parents[1] / "pyproject.toml"
# The row that the others' numbers are held against.
REFERENCE = "python-3.11"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One environment.

    Attributes
    ----------
    python
        As ``3.13``.
    backend
        The extra that is installed with the wheel; None where a backend is there.
    before
        File of a Colab list that is rebuilt first; None for an empty environment.
    like
        Row whose releases are taken wherever this Python has them; None for the newest.
    is_oldest
        Whether the oldest releases that pyproject.toml admits are installed.
    tools
        What the tests run with here, beside what they need everywhere.
    has_notebooks
        Whether the notebooks are executed too.
    has_fit
        Whether Keras' own `fit` is gone on with too: once for each backend, and for the
        oldest and the newest Keras.
    """

    name: str
    python: str
    backend: str | None = "tensorflow"
    before: Path | None = None
    like: str | None = None
    is_oldest: bool = False
    tools: tuple[str, ...] = ()
    has_notebooks: bool = False
    has_fit: bool = False


def _colab(date: str, kind: str, python: str, *, has_notebooks: bool = False) -> Row:
    return Row(
        name=f"colab-{date}-{kind}",
        python=python,
        backend=None,
        before=FOLDER / f"colab-{date}-{kind}.txt",
        has_notebooks=has_notebooks,
    )


ROWS = (
    Row(name=REFERENCE, python="3.11"),
    # Cells under a budget are promised on IPython 7.34, which Colab has, and from 8.0 on.
    Row(
        name="oldest",
        python="3.11",
        is_oldest=True,
        tools=("ipython==8.0.0",),
        has_fit=True,
    ),
    Row(name="python-3.12-like-3.11", python="3.12", like=REFERENCE),
    Row(name="python-3.13-like-3.11", python="3.13", like=REFERENCE),
    Row(name="python-3.12", python="3.12"),
    Row(name="python-3.13", python="3.13", has_fit=True),
    _colab("2026-08", "cpu", "3.13", has_notebooks=True),
    _colab("2026-08", "tpu", "3.13"),
    _colab("2026-07", "cpu", "3.12"),
    _colab("2026-04", "cpu", "3.12"),
    Row(name="jax", python="3.13", backend="jax", has_fit=True),
    Row(name="torch", python="3.13", backend="torch", has_fit=True),
)


def oldest(backend: str) -> list[str]:
    """Return the oldest releases that are admitted, as pip's constraints.

    Raises
    ------
    ValueError
        If a dependency has no lower bound.
    """
    project = tomllib.loads(PROJECT.read_text())["project"]
    needed = [*project["dependencies"], *project["optional-dependencies"][backend]]
    return [_at_its_bound(requirement) for requirement in needed]


def _at_its_bound(requirement: str) -> str:
    found = re.match(r"([\w.-]+)(?:\[.*\])?>=([\w.]+)", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} must have a lower bound, as name>=1.2")
    return f"{found[1]}=={found[2]}"

"""The notebooks and their text forms: read, and the one made from the other.

python -m tests.notebooks.pairs      writes every notebook from its text form
"""

from __future__ import annotations

import json
import re
from pathlib import Path

COLAB = Path(__file__).parents[2] / "colab"
NAMES = ("quickstart", "celeba", "your_own", "disconnect")


def cells_of_text(text: str) -> list[tuple[str, str]]:
    """Return type and source of each cell of a percent script.

    Magics stand there as comments, as jupytext has it.
    """
    cells = []
    for part in re.split(r"(?m)^# %%(?=\s)", text)[1:]:
        head, body = part.split("\n", 1)
        lines = body.strip("\n").split("\n")
        kind = "markdown" if "[markdown]" in head else "code"
        if kind == "markdown":
            lines = [re.sub(r"^# ?", "", line) for line in lines]
        lines = [re.sub(r"^# (?=%%?[a-z])", "", line) for line in lines]
        cells.append((kind, "\n".join(lines)))
    return cells


def notebook_of_text(text: str) -> str:
    """Return a notebook as its file holds it, nothing of it executed."""
    cells = []
    for number, (kind, source) in enumerate(cells_of_text(text)):
        cell = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
        if kind == "code":
            cell |= {"execution_count": None, "outputs": []}
        cells.append(cell | {"source": source.splitlines(keepends=True)})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def cells_of_notebook(name: str) -> list[tuple[str, str]]:
    """Return type and source of each cell of a notebook."""
    notebook = json.loads((COLAB / f"{name}.ipynb").read_text())
    return [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]


def with_settings(name: str, settings: dict[str, object]) -> list[tuple[str, str]]:
    """Return the cells of a notebook with settings in the place of its own.

    The cell of settings is the one that names the package; it must name all of them.
    """
    cells = cells_of_notebook(name)
    place = next(i for i, (_, source) in enumerate(cells) if "PACKAGE = " in source)
    named = set(re.findall(r"(?m)^([A-Z_]+) = ", cells[place][1]))
    assert named == set(settings), "the settings' cell names others"
    lines = [f"{key} = {value!r}" for key, value in settings.items()]
    cells[place] = ("code", "\n".join(lines))
    return cells


if __name__ == "__main__":
    for name in NAMES:
        text = (COLAB / f"{name}.py").read_text()
        (COLAB / f"{name}.ipynb").write_text(notebook_of_text(text))

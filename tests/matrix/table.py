"""The table of supported environments, from what each row has found."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.matrix.compare import differences
from tests.matrix.rows import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_HEAD = """\
# Where lowmem is known to run

`make matrix` installs the built wheel in an empty environment for each row, runs the five
jobs twice from outside (once undisturbed, once with the training killed by SIGKILL and
gone on with), holds the two against each other to the bit, verifies both workspaces, and
runs the tests of stores, reader, training, analysis and notebooks. It then writes this
page. Rows called after Colab rebuild a list of packages that Colab has published of its
own runtimes (googlecolab/backend-info), and install the wheel without constraints: no
package that was there may change. `make matrix-short`, the newest of them with two files of
tests, is part of CI. Times are of two cores, two rows at a time; `commit` is what a row was
run at.
"""
_SHOWN = (
    "python", "zarr", "keras", "tensorflow", "jax", "torch", "numpy", "scikit-learn",
    "pillow", "ipython", "ipykernel",
)  # fmt: skip
_ACROSS = """
## A run that is cut in one environment and goes on in another

The training is killed after two commits and continued elsewhere; its results are held
against those of an undisturbed run in {reference}.
"""
_BESIDE = """
## How far apart the results are

Each result's largest difference from that of {reference}, in units of the array's own
largest magnitude. *equal* means that every bit is the same. Another release of NumPy may
sum in another order, which moves last digits of the analysis. Another backend draws other
initial weights, so all that follows from them is another result.
"""
_CELLS = """
## Releases of IPython

The rows have the oldest that is supported, Colab's and the newest. `nox -s ipythons` runs
the tests of cells under a budget on those between: {versions}.
"""


def write(results: Path, page: Path, *, reference: str) -> None:
    """Write the page from the rows that have run; say which have not."""
    found = {
        row.name: json.loads((results / row.name / "facts.json").read_text())
        for row in ROWS
        if (results / row.name / "facts.json").exists()
    }
    # A row whose tests failed has told no time.
    found = {name: facts for name, facts in found.items() if "minutes" in facts}
    missing = [row.name for row in ROWS if row.name not in found]
    apart = {
        name: differences(
            results / reference / "numbers.npz", results / name / "numbers.npz"
        )
        for name in found
        if name != reference and reference in found
    }
    page.write_text(
        "\n".join(
            [
                _HEAD,
                *_rows(found),
                *(
                    [f"\nNot run to their end: {', '.join(missing)}."]
                    if missing
                    else []
                ),
                *([_BESIDE.format(reference=reference)] if apart else []),
                *(_distances(apart) if apart else []),
                *_moved(results / "across.json", reference),
                *_cells(results / "ipythons.json"),
                "",
            ]
        )
    )


def _rows(found: Mapping[str, Mapping]) -> Sequence[str]:
    head = ["row", *_SHOWN, "five jobs, s", "test files", "in all, min", "commit"]
    lines = [
        [
            name,
            *(facts["versions"].get(package, "") for package in _SHOWN),
            str(facts["seconds"]),
            str(facts["tests"]),
            str(facts["minutes"]),
            facts.get("commit", ""),
        ]
        for name, facts in found.items()
    ]
    return _table(head, lines)


def _moved(file: Path, reference: str) -> Sequence[str]:
    if not file.exists():
        return ()
    head = ["cut in", "continued in", "largest difference", "what the report says"]
    lines = [
        [run["from"], run["to"], _words(_largest(run["apart"].values())), run["moves"]]
        for run in json.loads(file.read_text())
    ]
    return (_ACROSS.format(reference=reference), *_table(head, lines))


def _cells(file: Path) -> Sequence[str]:
    if not file.exists():
        return ()
    return (_CELLS.format(versions=", ".join(json.loads(file.read_text()))).rstrip(),)


def _largest(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else max(known)


def _distances(apart: Mapping[str, Mapping[str, float | None]]) -> Sequence[str]:
    names = sorted({result for row in apart.values() for result in row})
    lines = [
        [row, *(_words(values.get(name)) for name in names)]
        for row, values in apart.items()
    ]
    return _table(["row", *names], lines)


def _words(apart: float | None) -> str:
    if apart is None:
        return "another shape"
    return f"{apart:.0e}" if apart else "equal"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> Sequence[str]:
    rows = [head, ["---"] * len(head), *lines]
    return [f"| {' | '.join(row)} |" for row in rows]

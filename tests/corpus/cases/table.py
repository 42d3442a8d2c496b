"""All cases, run once: what the table holds."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.corpus.cases import (
    arrayfiles,
    arrays,
    axes,
    labels,
    members,
    paths,
    scaled,
    tables,
    tarballs,
    zarrs,
)
from tests.corpus.cases.case import case_of
from tests.corpus.cases.crossed import (
    PICTURES,
    PLAIN,
    SOURCES,
    all_pictures,
    cut_pictures,
    each,
)
from tests.corpus.cases.judge import Verdict, judged, run

# The kinds that were mended last, with their neighbours.
LATEST = (*paths.CASES, *tables.CASES, *axes.CASES)
CASES = (
    *members.CASES,
    *tarballs.CASES,
    *labels.CASES,
    *arrays.CASES,
    *arrayfiles.CASES,
    *zarrs.CASES,
    *scaled.CASES,
    *LATEST,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table.

    Attributes
    ----------
    section
        ``cases``, ``cut``, or a kind of source through which all pictures came.
    """

    section: str
    group: str
    name: str
    before: str
    right: str
    known: str
    verdict: Verdict
    words: str


def lines_of_cases(cases=CASES) -> Iterator[Line]:
    """Run cases, each by itself."""
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            verdict, words = judged(case.right, run(case, Path(folder)))
        yield line_of(case, verdict, words)


def line_of(case, verdict, words, *, section="cases") -> Line:
    """Return the line of a case."""
    return Line(
        section=section, group=case.group, name=case.name, before=case.before,
        right=described(case.right), known=case.known, verdict=verdict, words=words,
    )  # fmt: skip


def lines_of_pictures(kind, pictures=PLAIN, section=None) -> Iterator[Line]:
    """Run pictures, all at once through one kind of source."""
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(all_pictures(kind, pictures), Path(folder))
    for picture, (verdict, words) in zip(
        pictures, each(pictures, outcome), strict=True
    ):
        yield Line(
            section=section or kind, group=picture.group, name=picture.name, before=picture.before,
            right="skipped, with the reason" if picture.shown is None else "its pixels",
            known=picture.known, verdict=verdict, words=words,
        )  # fmt: skip


def lines_of_asked() -> Iterator[Line]:
    """Run the pictures for which an option is given."""
    yield from lines_of_cases([case_of(one) for one in PICTURES if one.options])


def lines_of_cuts() -> Iterator[Line]:
    """Run all pictures cut short: a refusal is right, and so is the whole picture."""
    for line in lines_of_pictures("folder", cut_pictures(), "cut"):
        verdict = Verdict.REFUSED if line.verdict is Verdict.TOLD else line.verdict
        yield Line(
            section="cut", group=line.group, name=line.name, before=line.before,
            right="its pixels, or skipped", known=line.known, verdict=verdict, words=line.words,
        )  # fmt: skip


def described(right) -> str:
    """Return the right answer in words."""
    if right.rows is None:
        return "refused with exit 65"
    names = [row.name for row in right.rows if row.name is not None]
    words = f"{len(right.rows)} row" + "s" * (len(right.rows) != 1)
    if right.skipped:
        words += f", {len(right.skipped)} skipped"
    if isinstance(right.labels, list):
        words += ", labelled"
    return words + (f": {names[0]}" if len(names) == 1 and len(names[0]) < 30 else "")


ALL_SOURCES = tuple(SOURCES)

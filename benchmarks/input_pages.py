"""The table of `benchmarks/inputs.py`: lines, totals, and the page of the documents."""

from __future__ import annotations

import re
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING

from tests.corpus.cases.elsewhere import ELSEWHERE
from tests.corpus.cases.judge import Verdict
from tests.corpus.cases.table import ALL_SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.corpus.cases.table import Line

_MOST_WORDS = 110
_HEAD = """# Cases of inputs

Written by `python benchmarks/inputs.py --markdown`; [inputs](inputs.md) says what is promised, this page what was seen.

Each line is one input and its right answer, which does not come from the code that is tried: the samples are known
before our own generator writes the file from its specification (`tests/corpus/`), or another program's answer is
named. *Before* is what became of it when the kind was first tried; neighbours of those had not been tried.
*Refused, could be read* is no fault, but told: exit 65, or a line with its reason in `ingest-report.csv`.
*Silently wrong* is a fault.

Seen with {software}.
"""
# What reads and writes pictures and arrays.
_SOFTWARE = ("pillow", "numpy", "zarr", "tifffile", "imagecodecs", "xarray")


def row(line: Line) -> str:
    """Return one line of the table as text."""
    place = "" if line.section in {"cases", "folder"} else f" [{line.section}]"
    words = f": {shortened(line.words)}" if line.words else ""
    return f"{line.group}: {line.name}{place} -> {line.verdict.value}{words}"


def totals(lines: Sequence[Line]) -> list[str]:
    """Return how many of each verdict, in all and by section."""
    found = []
    for name, some in sections(lines).items():
        found.append(f"{name}: {counted(some)}")
    return [*found, f"in all: {counted(lines)}"]


def sections(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Return the lines by what they were tried through."""
    names = {
        "folder": "pictures in a folder",
        "cut": "pictures cut short",
        "cases": "other cases",
        "command": "by the command",
    }
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(
            names.get(line.section, "pictures through archives"), []
        ).append(line)
    return found


def counted(lines: Sequence[Line]) -> str:
    """Return how many lines there are, and of each verdict."""
    counts = Counter(line.verdict for line in lines)
    parts = [
        f"{counts[one]} {one.value}" for one in Verdict if counts[one] or one.is_fault
    ]
    return f"{len(lines)} ({', '.join(parts)})"


def page(lines: Sequence[Line]) -> str:
    """Return the page."""
    by_section = {line.section: [] for line in lines}
    for line in lines:
        by_section[line.section].append(line)
    software = ", ".join(f"{name} {version(name)}" for name in _SOFTWARE)
    parts = [
        _HEAD.format(software=software),
        "## Totals",
        *_totals(lines),
        "",
        *_faults(lines),
        *_sources(by_section),
        "",
        *_cuts(by_section["cut"]),
        "",
    ]
    listed = [*by_section["folder"], *by_section["cases"]]
    matrix = [line for line in listed if line.group.startswith("array: ")]
    odd = [line for line in matrix if line.group == "array: lying or odd"]
    matrix = [line for line in matrix if line not in odd]
    parts += [*_arrays(matrix), "", "## Every case"]
    rest = [*[line for line in listed if not line.group.startswith("array: ")], *odd]
    for group in dict.fromkeys(line.group for line in rest):
        some = [line for line in rest if line.group == group]
        parts += [
            "",
            f"### {group}",
            "",
            "| input | before | right answer | how it is known | now |",
            "|---|---|---|---|---|",
        ]
        parts += [_cells(line) for line in some]
    parts += ["", *_elsewhere()]
    return "\n".join(parts) + "\n"


def _faults(lines: Sequence[Line]) -> list[str]:
    """Return each input that is silently wrong once, whatever it came through."""
    found = {
        (line.group, line.name): line.words for line in lines if line.verdict.is_fault
    }
    if not found:
        return []
    listed = [
        f"- {group}: {_safe(name)}. {shortened(words)}."
        for (group, name), words in found.items()
    ]
    return ["## Silently wrong today", "", *listed, ""]


def _totals(lines: Sequence[Line]) -> list[str]:
    found = [
        "",
        "| what | cases | " + " | ".join(one.value for one in Verdict) + " |",
        "|---|" + "---:|" * (len(Verdict) + 1),
    ]
    for name, some in [*sections(lines).items(), ("in all", lines)]:
        counts = Counter(line.verdict for line in some)
        found.append(
            f"| {name} | {len(some)} | "
            + " | ".join(str(counts[one]) for one in Verdict)
            + " |"
        )
    return found


def _sources(by_section: dict[str, list[Line]]) -> list[str]:
    found = [
        "## Every picture through every kind of folder and archive",
        "",
        "Names, order and labels are compared, too.",
        "",
        "| source | pictures | the same verdict as in a folder |",
        "|---|---:|---:|",
    ]
    right = [line.verdict for line in by_section["folder"]]
    for kind in ALL_SOURCES:
        same = sum(
            line.verdict is one
            for line, one in zip(by_section[kind], right, strict=False)
        )
        found.append(f"| {kind} | {len(by_section[kind])} | {same} |")
    return found


def _cuts(lines: Sequence[Line]) -> list[str]:
    found = [
        "## Every picture cut short",
        "",
        "A quarter, half, three quarters, all but the last byte: what is left is refused, or it is the whole picture.",
        "",
        "| format | cuts | refused | the whole picture | silently wrong |",
        "|---|---:|---:|---:|---:|",
    ]
    for group in dict.fromkeys(line.group for line in lines):
        counts = Counter(line.verdict for line in lines if line.group == group)
        found.append(
            f"| {group} | {counts.total()} | {counts[Verdict.REFUSED]} | {counts[Verdict.RIGHT]} | {counts[Verdict.WRONG] + counts[Verdict.CRASHED]} |"
        )
    return found


def _arrays(lines: Sequence[Line]) -> list[str]:
    writers = list(dict.fromkeys(line.group.removeprefix("array: ") for line in lines))
    marks = {Verdict.RIGHT: "right", Verdict.REFUSED: "refused rightly"}
    found = [
        "## Every kind of array through every kind of file",
        "",
        "The right answer is the array itself; of what holds no pictures, or numbers without a known white, a refusal with exit 65.",
        "",
        "| array | before | " + " | ".join(writers) + " |",
        "|---|---|" + "---|" * len(writers),
    ]
    for name in dict.fromkeys(line.name for line in lines):
        some = {
            line.group.removeprefix("array: "): line
            for line in lines
            if line.name == name
        }
        cells = [
            marks.get(some[one].verdict, some[one].verdict.value)
            if one in some
            else "-"
            for one in writers
        ]
        before = next(iter(some.values())).before
        found.append(f"| {_safe(name)} | {before} | " + " | ".join(cells) + " |")
    return found


def _cells(line: Line) -> str:
    now = line.verdict.value
    if line.verdict.is_fault:
        now = f"**{now}**: {line.words}"
    elif line.verdict is not Verdict.RIGHT:
        now += f": {shortened(line.words)}"
    cells = (line.name, line.before, line.right, line.known, now)
    return "| " + " | ".join(map(_safe, cells)) + " |"


def _elsewhere() -> list[str]:
    found = [
        "## Held by tests of their own",
        "",
        "Models, tables and jobs of people's own; `benchmarks/models.py` runs eleven models through training, kill, resume and the later jobs.",
        "",
        "| what | before | right answer, and how it is known | held by |",
        "|---|---|---|---|",
    ]
    for what, before, right, tests in ELSEWHERE:
        found.append(
            f"| {what} | {before} | {right} | {', '.join(f'`{one}`' for one in tests)} |"
        )
    return found


def shortened(words: str) -> str:
    """Return the first words of a text, on one line and without the places of files."""
    text = re.sub(r"/\S*/", "", " ".join(words.split()))
    return (
        text
        if len(text) <= _MOST_WORDS
        else text[:_MOST_WORDS].rpartition(" ")[0] + " ..."
    )


def _safe(text: str) -> str:
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())

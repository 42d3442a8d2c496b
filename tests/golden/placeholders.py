"""What differs from run to run, from machine to machine, and what stands for it.

A rule replaces one kind of thing wherever it stands. What is decided elsewhere is not
replaced: budgets, counts, names, exit codes, and all words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lowmem.base.wrapping import wrapped

_NUMBER = r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of thing, and what stands for it."""

    what: str
    pattern: str
    placeholder: str


_ON_HOST = ", on HOST: "

RULES = (
    Rule("the folder of the session", r"/tmp/g_[a-z0-9_]{8}", "/tmp/g_XXXXXXXX"),
    Rule("a moment", r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d", "YYYY-MM-DD hh:mm:ss"),
    Rule("a moment to the minute", r"\d{4}-\d\d-\d\d \d\d:\d\d", "YYYY-MM-DD hh:mm"),
    Rule("a day", r"\d{4}-\d\d-\d\d", "YYYY-MM-DD"),
    # Whether one is known, and how wide it is, depends on the machine's speed.
    Rule("the time left", r"(?:  |, )(?:\d+ h \d+ min|\d+ min|\d+ s) left", ""),
    Rule("a rate", rf"(?:  |, ){_NUMBER} (?:rows|images)/s", ""),
    Rule("a gauge", r"\[[█░▌]+\] \S+ %", "[<bar>] # %"),
    Rule("a bar", r"[█░]+", "<bar>"),
    Rule("a bar of a chart, and its figure", r"#{6,} \S+", "<bar> #.#"),
    Rule(
        "a time",
        rf"\b(?:\d+ h \d\d min|\d+ min \d\d s|{_NUMBER} s(?=[\s,.;)]|$))",
        "#.# s",
    ),
    Rule("memory in use, before its budget", rf"RAM {_NUMBER}(?: MiB|M)?/", "RAM #/"),
    # A budget that was given in MB is told in both; it is the session's own.
    Rule(
        "an amount of memory or data",
        rf"(?<![/\d.,]){_NUMBER} [MG]iB(?! \([\d.]+ [MG]B\))",
        "##.# MiB",
    ),
    Rule("a part of a budget", r"\((?:<|< )?[\d.]+ %", "(# %"),
    Rule(
        "a measured number of a table",
        r"(?<=  )(?:\d+\.\d+|\d+(?:\.\d+)?e-\d+)(?=  |$)",
        "#.#",
    ),
    Rule("the machine", r", on \S+: ", _ON_HOST),
)

_LOSS = Rule("a loss", r"loss \d+\.\d+(?:e-\d+)?", "loss #.#")
_SEEN_LAST = (
    _LOSS,
    Rule("how far it was", r"(?<=^count )\d+%|(?<=^count: )\d+ %", "#%"),
    Rule("at which cycle", r"cycle \d+", "cycle #"),
    Rule("at which row", r"\b\d+/12\b", "#/12"),
)
_FOUND = Rule("what is found", r"^(\w[\w ]*?)  +\S.*", r"\1  <found>")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What varies in some sessions alone.

    Attributes
    ----------
    is_table
        Columns of it are as wide as their figures: so spaces between words count as
        two, however many they are.
    """

    is_table: bool = False
    more: tuple[Rule, ...] = ()


PLAIN = Kind()
TABLE = Kind(is_table=True)
# Its loss is the same on one machine, and not on all.
TRAINED = Kind(more=(_LOSS,))
# Of another's run: where it was seen last is a matter of time.
WATCHED = Kind(is_table=True, more=_SEEN_LAST)
# What `doctor` finds is the machine's.
MACHINE = Kind(more=(_FOUND,))

# A log is told where a job stands once a minute: whether at all is a matter of time.
_TOLD = re.compile(r"\w+: (?:running|\d\d? %)")
_MOVING = re.compile(r"\w+:? (?:\d+|#) ?%")
_NOW = re.compile(r"\w+ now: ")
# What lowmem or a job says, and what can be more of it.
_SAID = re.compile(r"\w+: (?!running|\d)")
_IS_MORE = re.compile(r"(?!\w+: |\w+ is done)\S")
# Begins what lowmem broke into lines, and is one line here: `broken` takes it away.
_UNBROKEN = "\0"
_SITTING = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d  ")
# What `lowmem report` tells of a job as a whole, and how wide that is at most.
_FACT = re.compile(r"  (?:device|changed|budget|peak|cycles|attempts|message)  ")
_REPORT = 100
# Said where the folder of the sessions happens to lie in memory.
_IN_MEMORY = " lies in memory: "
# Below so many columns, some parts of the moving line are there only if they have room.
_NARROW, _ROOMY = 60, 150
# What a program takes for the width of a pipe.
_PIPE = 80
# Spaces that count at a line's beginning.
_DEEPEST = 8
_BAR = "<bar>"
_KEPT_PARTS = ("RAM ", "VRAM ", "loss ", "val_loss ", _BAR)


def replaced(lines: list[str], columns: int | None, kind: Kind = PLAIN) -> list[str]:
    """Return the lines of a session without what varies.

    Parameters
    ----------
    columns
        Of the window; None for a pipe.
    """
    found = [line for line in _joined(lines) if _IN_MEMORY not in line]
    found = _without_repeats(found, is_watched=kind is WATCHED)
    rules = (*RULES, *kind.more)
    found = [row for part in _paragraphs(found) for row in _told(part, rules)]
    if columns is not None:
        found = [_without_what_comes_and_goes(line, columns) for line in found]
    return [_narrow(line) for line in found] if kind.is_table else found


def broken(lines: list[str], columns: int | None) -> list[str]:
    """Return the rows in which a window shows these lines.

    The line of a sitting is wrapped as `lowmem usage` wraps it, for a pipe too; what is
    said, as it is said.
    """
    return [row for line in lines for row in _rows(line, columns)]


def _rows(line: str, columns: int | None) -> list[str]:
    if _ON_HOST in line:
        return wrapped(line, columns or _PIPE, later="  ")
    if line.startswith(_UNBROKEN):
        line = line.removeprefix(_UNBROKEN)
        return wrapped(line, columns or len(line))
    if _FACT.match(line):
        return wrapped(line, min(columns or _REPORT, _REPORT), later="    ")
    if columns is None:
        return [line]
    starts = range(0, max(len(line), 1), columns)
    return [line[start : start + columns].rstrip() for start in starts]


def _paragraphs(lines: list[str]) -> list[list[str]]:
    """Return the lines, together those that are of one thing that is said."""
    found: list[list[str]] = []
    for line in lines:
        is_more = found and _SAID.match(found[-1][0]) and _IS_MORE.match(line)
        if is_more and not _MOVING.match(line):
            found[-1].append(line)
        else:
            found.append([line])
    return found


def _told(paragraph: list[str], rules: tuple[Rule, ...]) -> list[str]:
    """Return a paragraph as one line if it has what varies: that says where it breaks."""
    told = _replaced(" ".join(paragraph), rules)
    if len(paragraph) > 1 and "#" in told:
        return [f"{_UNBROKEN}{told}"]
    return [_replaced(line, rules) for line in paragraph]


def _replaced(line: str, rules: tuple[Rule, ...]) -> str:
    for rule in rules:
        line = re.sub(rule.pattern, rule.placeholder, line)
    return line


def _joined(lines: list[str]) -> list[str]:
    """Return the lines; what lowmem itself wraps by the width of what varies, unwrapped.

    Namely where a job stands now, a sitting on a machine, and a fact of a report.
    """
    found: list[str] = []
    for line in lines:
        before = found[-1] if found else ""
        is_more_of_now = _NOW.match(before) and line and not _MOVING.match(line)
        is_more_of_sitting = _SITTING.match(before) and line.startswith("  ")
        is_more_of_fact = _FACT.match(before) and line.startswith("    ")
        if is_more_of_now or is_more_of_sitting or is_more_of_fact:
            found[-1] += f" {line.strip()}"
        else:
            found.append(line)
    return found


def _without_repeats(lines: list[str], *, is_watched: bool) -> list[str]:
    """Return the lines but those of a log that tell of progress; to who watches, the last."""
    following = [*lines[1:], ""]
    return [
        line
        for line, after in zip(lines, following, strict=True)
        if not _TOLD.match(line) or (is_watched and not _TOLD.match(after))
    ]


def _without_what_comes_and_goes(line: str, columns: int) -> str:
    """Return the moving line without the parts that are shown where they have room."""
    head, *parts = line.split("  ")
    if not _MOVING.match(head) or columns >= _ROOMY:
        return line
    kept = [part for part in parts if part.startswith(_KEPT_PARTS)]
    if columns < _NARROW and "100%" not in head:
        # The time left may take its place.
        kept = [part for part in kept if part != _BAR]
    return "  ".join([head, *kept])


def _narrow(line: str) -> str:
    # A heading begins where the figures below it let it.
    indent = min(len(line) - len(line.lstrip()), _DEEPEST)
    line = " " * indent + line.lstrip()
    return line[:indent] + re.sub(r" {2,}", "  ", line[indent:])

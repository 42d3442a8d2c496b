"""Where a running job stands, on one line of any width: pure.

The one text of a run under way: a terminal's line, a log's, and what ``status`` and
``watch`` tell from elsewhere. What matters most comes first and is kept longest: memory
against its budget and the loss stay at 40 columns, and the bar takes what is left over.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from lowmem.base.units import format_bytes, format_seconds
from lowmem.report.columns import printable
from lowmem.report.wording import share

_GAP = "  "
# Columns of the bar at least and at most, and of the gauge of memory.
_LEAST_BAR, _MOST_BAR = 6, 40
_GAUGE = 14
# Below so many columns units are a letter.
_NARROW = 60
# Bytes; of a smaller budget a tenth of a GiB is too much to leave out.
_LARGE = 4 * 2**30
_SMALL = 2**30 // 10
# Of the width, for the name of a job: the rest is worth more.
_NAME_SHARE = 0.35
# seconds; nobody waits longer, and a rate that says so is none.
_LONGEST_S = 100 * 86400.0
_LONG_NOTE = 200
_LOSSES = ("loss ", "val_loss ")
_DRAWN, _DRAWN_ASCII = ("█", "░", "▌"), ("#", "-", "|")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveState:
    """Where a running job stands; None is what is not known, or not measured.

    Attributes
    ----------
    phase
        What it does before its first item, such as "starting"; empty afterwards.
    elapsed_s
        Seconds since its worker was started.
    cycle
        Index of the cycle under way.
    done, total
        Items, counted from the job's very start.
    rate
        Items a second, of late.
    note
        What the job says of itself: texts between commas.
    """

    job: str
    unit: str
    phase: str = ""
    elapsed_s: float = 0.0
    cycle: int | None = None
    done: int | None = None
    total: int | None = None
    rate: float | None = None
    note: str = ""
    ram_bytes: int | None = None
    ram_peak_bytes: int | None = None
    ram_budget_bytes: int | None = None
    vram_bytes: int | None = None
    vram_peak_bytes: int | None = None
    vram_budget_bytes: int | None = None

    @property
    def fraction(self) -> float | None:
        """The part that is done, from 0 to 1; None without a total."""
        if self.done is None or not self.total:
            return None
        return min(max(self.done / self.total, 0.0), 1.0)

    @property
    def left_s(self) -> float | None:
        """Seconds until it is done, at its rate; None where nobody can tell."""
        if self.fraction in {None, 1.0} or not self.rate or self.rate <= 0:
            return None
        left_s = ((self.total or 0) - (self.done or 0)) / self.rate
        return max(left_s, 0.0) if left_s < _LONGEST_S else None

    @property
    def notes(self) -> list[str]:
        """The parts of its note."""
        return [part for part in printable(self.note[:_LONG_NOTE]).split(", ") if part]

    @property
    def losses(self) -> list[str]:
        """The parts of its note that tell a loss."""
        return _losses(self.notes)

    @property
    def epoch(self) -> str:
        """The part of its note that names the epoch; empty where none does."""
        return _epoch(self.notes)


class _Part(NamedTuple):
    """A piece of the line; the lower its rank, the longer it is kept."""

    rank: int
    text: str


def line_of(standing: LiveState, columns: int, *, is_ascii: bool = False) -> str:
    """Return the line of a terminal, never wider than ``columns``.

    Parameters
    ----------
    columns
        Of the terminal, 1 or more.
    is_ascii
        Whether the terminal shows nothing else.
    """
    symbols = _DRAWN_ASCII if is_ascii else _DRAWN
    is_narrow = columns < _NARROW
    parts = [_head(standing, columns), *_parts(standing, is_narrow=is_narrow)]
    if gauge := _gauge(standing, symbols):
        parts.insert(2, _Part(11, gauge))
    kept: set[_Part] = set()
    taken = -len(_GAP)
    # The bar's own place is found after what matters more than it, and before the rest.
    for part in sorted(parts, key=_rank):
        more = len(_GAP) + width_of(part.text)
        if taken + more + _reserved(standing, part.rank) <= columns:
            kept.add(part)
            taken += more
    shown = [part for part in parts if part in kept]
    room = columns - max(taken, 0) - len(_GAP)
    if standing.fraction is not None and room >= _LEAST_BAR:
        shown.insert(
            1, _Part(0, _bar(standing.fraction, min(room, _MOST_BAR), symbols))
        )
    return _cut(_joined(shown), columns)


def _rank(part: _Part) -> int:
    return part.rank


def text_of(standing: LiveState) -> str:
    """Return all of it, without a bar: for a log, and for what is not refreshed."""
    parts = [_doing(standing), *(part.text for part in _parts(standing))]
    return ", ".join(filter(None, parts))


# --- the parts ----------------------------------------------------------------------


def _doing(standing: LiveState) -> str:
    if standing.fraction is not None:
        return f"{100 * standing.fraction:.0f} %"
    if standing.done is not None and not standing.phase:
        return f"{standing.done:,} {printable(standing.unit)}"
    return f"{standing.phase or 'running'}, {format_seconds(standing.elapsed_s)}"


def _head(standing: LiveState, columns: int) -> _Part:
    name = _cut(printable(standing.job), max(4, int(_NAME_SHARE * columns)))
    return _Part(0, f"{name} {_doing(standing).replace(' %', '%')}")


def _parts(standing: LiveState, *, is_narrow: bool = False) -> list[_Part]:
    """Return what is shown after the bar, in its order."""
    notes = standing.notes
    losses, epoch = _losses(notes), _epoch(notes)
    others = [part for part in notes if part not in (*losses, epoch)]
    ram = ("RAM", standing.ram_bytes, standing.ram_budget_bytes)
    vram = ("VRAM", standing.vram_bytes, standing.vram_budget_bytes)
    left_s = standing.left_s
    left = "" if left_s is None else f"{_time(left_s)} left"
    cycle = "" if standing.cycle is None else f"cycle {standing.cycle}"
    found = [
        _Part(1, _memory(*ram, is_narrow=is_narrow)),
        _Part(8, _peak(*ram[:2], standing.ram_peak_bytes)),
        _Part(3, _memory(*vram, is_narrow=is_narrow)),
        _Part(9, _peak(*vram[:2], standing.vram_peak_bytes)),
        *(_Part(2 if part.startswith("loss") else 4, part) for part in losses),
        _Part(5, left),
        _Part(6, epoch),
        _Part(10, _rate(standing)),
        _Part(12, cycle),
        _Part(13, _counts(standing)),
        *(_Part(14, part) for part in others),
    ]
    return [part for part in found if part.text]


def _losses(notes: list[str]) -> list[str]:
    return [part for part in notes if part.startswith(_LOSSES)]


def _epoch(notes: list[str]) -> str:
    return next((part for part in notes if part.startswith("epoch ")), "")


def _memory(name: str, used: int | None, budget: int | None, *, is_narrow: bool) -> str:
    if used is None:
        return ""
    if budget is None:
        return f"{name} {format_bytes(used)}"
    of, unit, digits = (2**20, "MiB", 0) if budget < _LARGE else (2**30, "GiB", 1)
    part = f"{used / of:.{digits}f}"
    if used < _SMALL and unit == "GiB":
        part = f"{used / 2**20:.0f}" + ("M" if is_narrow else " MiB")
    unit = unit[0] if is_narrow else f" {unit}"
    return f"{name} {part}/{budget / of:.{digits}f}{unit}"


def _peak(name: str, used: int | None, peak: int | None) -> str:
    if peak is None:
        return ""
    return f"{f'{name} ' if used is None else ''}peak {format_bytes(peak)}"


def _rate(standing: LiveState) -> str:
    rate = standing.rate
    if not rate or not 0 < rate < 1e12:  # noqa: PLR2004 - no machine does as much
        return ""
    number = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"  # noqa: PLR2004 - three digits
    return f"{number} {printable(standing.unit)}/s"


def _counts(standing: LiveState) -> str:
    if standing.fraction is None:
        return ""
    return f"{standing.done:,}/{standing.total:,}"


def _time(seconds: float) -> str:
    """Return a time that is only foreseen, without digits that mean nothing."""
    minute, hour = 60, 3600
    if seconds < minute:
        return f"{seconds:.0f} s"
    if seconds < hour:
        return f"{seconds / minute:.0f} min"
    return format_seconds(seconds)


# --- drawing ------------------------------------------------------------------------


def _reserved(standing: LiveState, rank: int) -> int:
    """Return the columns that are kept free for the bar where a part is to be added."""
    after_the_bar = 8
    if standing.fraction is None or rank < after_the_bar:
        return 0
    return len(_GAP) + _LEAST_BAR


def _joined(parts: list[_Part]) -> str:
    return _GAP.join(part.text for part in parts)


def _bar(fraction: float, columns: int, symbols: tuple[str, str, str]) -> str:
    full, empty, _ = symbols
    n_full = int(fraction * columns)
    return full * n_full + empty * (columns - n_full)


def _gauge(standing: LiveState, symbols: tuple[str, str, str]) -> str:
    """Return memory in use as a bar up to the budget, with a mark at the peak."""
    used, budget = standing.ram_bytes, standing.ram_budget_bytes
    if used is None or not budget:
        return ""
    cells = list(_bar(min(used / budget, 1.0), _GAUGE, symbols))
    if standing.ram_peak_bytes is not None:
        place = min(int(standing.ram_peak_bytes / budget * _GAUGE), _GAUGE - 1)
        cells[place] = symbols[2]
    return f"[{''.join(cells)}] {share(used, budget)}".rstrip()


def width_of(text: str) -> int:
    """Return the columns that a text takes: East Asian characters take two."""
    # A line is drawn for as long as a job runs: what it is drawn with is looked up once.
    special = () if text.isascii() else set(text)
    more = (
        text.count(character) * (_columns(character) - 1)
        for character in special
        if character > "\x7f"
    )
    return len(text) + sum(more)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _cut(text: str, columns: int) -> str:
    while width_of(text) > columns:
        text = text[:-1]
    return text

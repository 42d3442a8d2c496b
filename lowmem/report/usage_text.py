"""What ``lowmem usage`` prints: a table, a bar for each day, and the newest sittings.

It fits any terminal of 40 columns and more: what is too wide for one table becomes two,
one below the other.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING

from lowmem.base.units import format_bytes, format_seconds
from lowmem.base.wrapping import wrapped
from lowmem.report.accounting import summed
from lowmem.report.columns import format_columns, printable
from lowmem.report.wording import NOT_MEASURED, moment_of, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import date

    from lowmem.report.accounting import Amounts, Ended, Sitting, Usage, UsageRow
    from lowmem.report.columns import Row

_NARROWEST, _WIDEST = 40, 100
# A name or a machine's may be as long as a file name.
_MOST_NAME = 16
_MOST_DAYS = 31
_MOST_SITTINGS = 12
_MOST_SHORT_HOURS = 100
_ENDINGS: dict[Ended, str] = {
    "done": "done",
    "running": "still running",
    "signal": "stopped by a signal",
    "deadline": "stopped, its time budget used up",
    "stopped": "stopped",
    "budget": "out of its memory budget",
    "no_gpu": "refused, no GPU was there",
    "failed": "failed",
    "lost": "lost without a word",
}
_NAMES = {
    "seconds": "length",
    "gpu_seconds": "GPU time",
    "cpu_seconds": "CPU time",
    "read_bytes": "bytes read",
    "written_bytes": "bytes written",
    "disk_read_bytes": "bytes from disks",
    "disk_written_bytes": "bytes to disks",
}
_COLUMNS: dict[str, Callable[[UsageRow], str]] = {
    "GPU h": lambda row: hours(row.used.gpu_seconds),
    "CPU h": lambda row: hours(row.used.cpu_seconds),
    "hours": lambda row: hours(row.used.seconds),
    "read": lambda row: _size(row.used.read_bytes),
    "written": lambda row: _size(row.used.written_bytes),
    "sittings": lambda row: f"{row.n_sittings:,}",
}


def text_from_usage(
    usage: Usage,
    workspaces: Sequence[str],
    *,
    since: date | None = None,
    width: int = 80,
) -> str:
    """Return what was used as text.

    Parameters
    ----------
    width
        Columns of the terminal; taken for 40 where there are fewer.
    """
    width = min(max(width, _NARROWEST), _WIDEST)
    lines = [
        line for name in workspaces for line in _wrapped(f"Workspace {name}", width)
    ]
    if since is not None:
        lines.append(f"Since {since.isoformat()}, UTC")
    if not usage.sittings:
        lines += ["", *_wrapped("Nothing has run here in that time.", width)]
    else:
        for part in (_table(usage, width), _chart(usage, width)):
            lines += ["", *part]
        lines += ["", *_told(usage, width), "", *_sittings(usage, width)]
    return "\n".join(map(printable, lines))


def hours(seconds: float | None) -> str:
    """Return a time in hours, to three digits.

    Examples
    --------
    >>> hours(90), hours(5400), hours(10**7), hours(0.25), hours(None)
    ('0.025', '1.5', '2,778', '0.0000694', '-')
    """
    if seconds is None:
        return NOT_MEASURED
    value = seconds / 3600
    if value >= _MOST_SHORT_HOURS:
        return f"{value:,.0f}"
    # Never with an exponent, which is told from hours only at the second look.
    return f"{Decimal(f'{value:.3g}'):f}"


def ended_text(one: Sitting) -> str:
    """Return how a sitting ended, and what became of its wish for a GPU."""
    text = _ENDINGS[one.ended]
    if one.ended == "signal" and one.signal:
        text = f"stopped by {one.signal}"
    elif one.ended == "failed":
        text = f"failed with exit code {one.exit_code}"
    if one.gpu == "lost":
        return f"{text}, its GPU lost"
    if one.gpu == "absent" and one.ended != "no_gpu":
        return f"{text}, no GPU was there"
    return text


def length_text(one: Sitting) -> str:
    """Return how long a sitting was, as far as anybody knows."""
    seconds = one.used.seconds
    if seconds is None:
        return "length not recorded"
    least = "at least " if one.ended in {"lost", "running"} else ""
    return f"{least}{format_seconds(seconds)}"


def unrecorded_text(usage: Usage) -> str:
    """Return what of how many sittings is not in the figures; empty if all is."""
    lacking = usage.total.unrecorded
    listed = ", ".join(f"{_NAMES[name]} of {n:,}" for name, n in lacking.items())
    if not listed:
        return ""
    of_all = plural(usage.total.n_sittings, "sitting")
    return f"Not recorded, of {of_all}: {listed}."


def counts_text(usage: Usage) -> str:
    """Return how many sittings ended in which way, and how often there was a GPU."""
    counts = Counter(one.ended for one in usage.sittings)
    listed = ", ".join(f"{n:,} {_ENDINGS[ended]}" for ended, n in counts.items())
    text = f"{plural(usage.total.n_sittings, 'sitting')}: {listed}."
    gpus = Counter(one.gpu for one in usage.sittings)
    wished = gpus["given"] + gpus["absent"] + gpus["lost"]
    if wished:
        text += (
            f" A GPU was wanted {plural(wished, 'time')}: {gpus['absent']:,} not there, "
            f"{gpus['lost']:,} lost."
        )
    return text


# --- the table ----------------------------------------------------------------------


def _table(usage: Usage, width: int) -> list[str]:
    """Return the table of days and jobs."""
    several = len({row.workspace for row in usage.jobs}) > 1
    rows: list[tuple[str, UsageRow] | str] = []
    for day, found in groupby(usage.days, key=lambda row: row.day):
        rows.append(day or "day not recorded")
        rows += [(_name(row, several=several), row) for row in found]
    rows.append("in all")
    rows += [(_name(row, several=several), row) for row in usage.jobs]
    if len(usage.jobs) > 1:
        rows.append(("together", usage.total))
    names = list(_COLUMNS)
    if usage.total.used.gpu_seconds == 0:
        names.remove("GPU h")
    cells: list[Row | str] = [
        row
        if isinstance(row, str)
        else (f"  {row[0]}", *(_COLUMNS[name](row[1]) for name in names))
        for row in rows
    ]
    return format_columns(("", *names), cells, left=frozenset({0}), width=width)


def _name(row: UsageRow, *, several: bool) -> str:
    """Return a job's name, and that of its workspace's folder where there are several."""
    job = _short(row.job or "")
    if not several:
        return job
    folder = (row.workspace or "").rstrip("/").rpartition("/")[2]
    return f"{_short(folder)}: {job}"


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _MOST_NAME else f"{text[: _MOST_NAME - 2]}.."


def _size(n_bytes: int | None) -> str:
    return NOT_MEASURED if n_bytes is None else format_bytes(n_bytes)


# --- the chart ----------------------------------------------------------------------


def _chart(usage: Usage, width: int) -> list[str]:
    """Return a bar for each day: of GPU hours if there were any, else of CPU hours."""
    title, value = _charted(usage.total.used)
    days = {
        day: value(summed(row.used for row in rows))
        for day, rows in groupby(usage.days, key=lambda row: row.day)
    }
    shown = list(days.items())[-_MOST_DAYS:]
    largest = max((seconds or 0.0 for _, seconds in shown), default=0.0)
    numbers = [hours(seconds) for _, seconds in shown]
    room = width - len("2026-11-22  ") - 1 - max(map(len, numbers))
    lines = [title]
    if len(shown) < len(days):
        lines.append(f"... {plural(len(days) - len(shown), 'day')} before ...")
    for (day, seconds), number in zip(shown, numbers, strict=True):
        bar = "#" * _length(seconds, largest, room)
        lines.append(f"{day or 'unknown':<10}  {bar}{' ' * bool(bar)}{number}")
    return lines


def _charted(total: Amounts) -> tuple[str, Callable[[Amounts], float | None]]:
    if total.gpu_seconds:
        return "GPU hours by day", lambda used: used.gpu_seconds
    if total.cpu_seconds is not None:
        return "CPU hours by day", lambda used: used.cpu_seconds
    return "Hours by day", lambda used: used.seconds


def _length(seconds: float | None, largest: float, room: int) -> int:
    """Return the length of a bar: none of nothing, else one character at least."""
    if not seconds or not largest:
        return 0
    return max(1, round(room * seconds / largest))


# --- the sittings -------------------------------------------------------------------


def _told(usage: Usage, width: int) -> list[str]:
    lines = _wrapped(counts_text(usage), width)
    lacking = unrecorded_text(usage)
    return [*lines, *_wrapped(lacking, width)] if lacking else lines


def _sittings(usage: Usage, width: int) -> Iterator[str]:
    shown = usage.sittings[-_MOST_SITTINGS:]
    n_before = len(usage.sittings) - len(shown)
    if n_before:
        yield from _wrapped(
            f"... {plural(n_before, 'sitting')} before: --json has all ...", width
        )
    for one in shown:
        moment = moment_of(one.began_at)
        at = moment.strftime("%Y-%m-%d %H:%M") if moment else "at no known time"
        machine = _short(one.machine.name) if one.machine else "a machine not recorded"
        yield from _wrapped(
            f"{at}  {_short(one.job)}, {length_text(one)}, on {machine}: "
            f"{ended_text(one)}",
            width,
        )


def _wrapped(text: str, width: int) -> list[str]:
    return wrapped(printable(text), width, later="  ")

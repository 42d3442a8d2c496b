"""How the report words its values, the same on the terminal and on the page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from lowmem.base.units import format_budget, format_bytes, format_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.report.schema import Budgets, ChangeReport, EventReport, JobReport

NOT_MEASURED = "-"
_MANY_MEBIBYTES = 10_000


def mebibytes(n_bytes: int | None) -> str:
    """Return bytes as a bare number of MiB, for a narrow column.

    Examples
    --------
    >>> mebibytes(3 * 2**19), mebibytes(12 * 10**9), mebibytes(None)
    ('1.5', '11444', '-')
    """
    if n_bytes is None:
        return NOT_MEASURED
    number = n_bytes / 2**20
    return f"{number:.1f}" if number < _MANY_MEBIBYTES else f"{number:.0f}"


def share(part: int | None, whole: int | None) -> str:
    """Return a part in per cent of the whole; empty where either is unknown.

    Examples
    --------
    >>> share(1, 3), share(1, 3000), share(None, 3)
    ('33 %', '0.033 %', '')
    """
    if part is None or not whole:
        return ""
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 1 else f"{percent:.2g} %"


def count(number: int, unit: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> count(12000, "images")
    '12,000 images'
    """
    return f"{number:,} {unit}"


def plural(number: int, noun: str) -> str:
    """Return a number of things, with an s unless there is one.

    Examples
    --------
    >>> plural(1, "attempt"), plural(2, "attempt")
    ('1 attempt', '2 attempts')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def day_and_time(at: str) -> str:
    """Return a time stamp as a person reads it, to the second, in UTC.

    Examples
    --------
    >>> day_and_time("2026-11-22T10:00:00.123Z")
    '2026-11-22 10:00:00'
    """
    moment = moment_of(at)
    return at if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S")


def moment_of(at: str, *, after_s: float = 0.0) -> datetime | None:
    """Return the time of a time stamp, or some seconds later; None where it is no such.

    A journal may be anybody's, and one that was mended may lack some.

    Examples
    --------
    >>> moment_of("soon"), moment_of("2026-11-22T10:00:00Z", after_s=1e300)
    (None, None)
    """
    try:
        return datetime.fromisoformat(at).astimezone(UTC) + timedelta(seconds=after_s)
    except (ValueError, OverflowError):
        return None


def pairs(values: Mapping[str, object]) -> str:
    """Return names and values on one line.

    Examples
    --------
    >>> pairs({"batch_size": 64, "micro_batch": 32})
    'batch_size 64, micro_batch 32'
    """
    return ", ".join(f"{name} {value_text(value)}" for name, value in values.items())


def value_text(value: object) -> str:
    """Return one JSON value as text: numbers to 6 digits, the rest as JSON.

    Examples
    --------
    >>> value_text(0.123456789), value_text(12000), value_text("faces"), value_text([1])
    ('0.123457', '12,000', 'faces', '[1]')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.6g}"
    return msgspec.json.encode(value).decode()


def budget_texts(budgets: Budgets) -> list[str]:
    """Return what limits the job, one text a budget."""
    texts = []
    if budgets.ram_bytes is not None:
        texts.append(f"RAM {format_budget(budgets.ram_bytes)}")
    if budgets.vram_bytes is not None:
        texts.append(f"VRAM {format_budget(budgets.vram_bytes)}")
    if budgets.time_s is not None:
        texts.append(f"time {format_seconds(budgets.time_s)}")
    return texts or ["unknown"]


def devices_text(job: JobReport) -> str:
    """Return where the job ran, attempt by attempt where that changed.

    A worker's name for its device is told once.
    """
    runs: list[tuple[str, int, int]] = []
    for worker in job.workers:
        place: str = worker.device
        if worker.device_name:
            place += f" ({worker.device_name})"
        if runs and runs[-1][0] == place:
            runs[-1] = (place, runs[-1][1], worker.attempt)
        else:
            runs.append((place, worker.attempt, worker.attempt))
    if len(runs) < 2:  # noqa: PLR2004 - one place, or none
        return runs[0][0] if runs else "not started"
    return ", ".join(
        f"{place} in attempt {first}" + (f" to {last}" if last > first else "")
        for place, first, last in runs
    )


def change_text(change: ChangeReport, unit: str) -> str:
    """Return what is not promised from where on."""
    done = count(change.items_before, unit)
    return (
        f"{change.what}: from cycle {change.cycle} on, after {done}, equality to the bit "
        "with an unbroken run is not promised"
    )


def event_name(event: EventReport) -> str:
    """Return the verdict of an event, and the signal if there was one."""
    return f"{event.verdict} ({event.signal})" if event.signal else event.verdict


def event_reading(event: EventReport) -> str:
    """Return the reading that led to an event; empty if none was taken."""
    if event.verdict == "vram_limit":
        return (
            "" if event.vram_bytes is None else f"VRAM {format_bytes(event.vram_bytes)}"
        )
    return "" if event.ram_bytes is None else format_bytes(event.ram_bytes)


def cycles_text(job: JobReport) -> str:
    """Return how many cycles ran, by outcome."""
    texts = [f"{len(job.committed):,} committed"]
    if job.durable is not None:
        texts.append(f"{job.durable:,} durable in the mirror")
    for outcome, word in (
        ("interrupted", "interrupted"),
        ("rolled_back", "rolled back"),
    ):
        number = sum(cycle.outcome == outcome for cycle in job.cycles)
        if number:
            texts.append(f"{number:,} {word}")
    return ", ".join(texts)

"""Sizes and durations: from what a person types to bytes and seconds, and back."""

from __future__ import annotations

import re

from lowmem.base.errors import QuantityError

_DECIMAL = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY = {"KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]I?)?B?", re.ASCII)
_DURATION = re.compile(
    r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII
)
_SECONDS = (86400, 3600, 60, 1)
# Bytes; a bare number below can only be one whose unit was forgotten: no process of
# Python is as small, and what lowmem prints as bare bytes is larger.
_LEAST_BARE_BUDGET = 10**6


def bytes_from_size(text: str) -> int:
    """Return the number of bytes that ``text`` names.

    Raises
    ------
    QuantityError
        If ``text`` is not a positive number with an optional unit.

    Examples
    --------
    >>> bytes_from_size("10G"), bytes_from_size("10GiB"), bytes_from_size("1.5 MB")
    (10000000000, 10737418240, 1500000)
    """
    match = _SIZE.fullmatch(text.strip().upper())
    value = 0.0
    if match:
        unit = match[2] or ""
        value = float(match[1]) * {**_DECIMAL, **_BINARY}[unit]
    if not 1 <= value < 2**63:
        raise QuantityError(
            text=text, expected="a size such as 10G, 10GB (10^10 bytes) or 10GiB (2^30)"
        )
    return round(value)


def budget_bytes_from_size(text: str) -> int:
    """Return the bytes of a budget: `bytes_from_size`, but a unit must not be forgotten.

    Raises
    ------
    QuantityError
        If it is no size, or a bare number that is no budget in bytes.

    Examples
    --------
    >>> budget_bytes_from_size("10G"), budget_bytes_from_size("900000000")
    (10000000000, 900000000)
    """
    n_bytes = bytes_from_size(text)
    if n_bytes < _LEAST_BARE_BUDGET and text.strip().replace(".", "", 1).isdecimal():
        unit = "G" if n_bytes < _DECIMAL["K"] else "M"
        meant = f"{text.strip()}{unit}"
        raise QuantityError(
            text=text,
            expected=f"a budget, since without a unit it is {n_bytes:,} bytes. Expected "
            f"a unit: {meant} or {meant}i was probably meant",
        )
    return n_bytes


def seconds_from_duration(text: str) -> float:
    """Return the number of seconds that ``text`` names.

    Raises
    ------
    QuantityError
        If ``text`` is not a positive duration.

    Examples
    --------
    >>> seconds_from_duration("11h30m"), seconds_from_duration("90m")
    (41400.0, 5400.0)
    """
    match = _DURATION.fullmatch(text.strip().lower())
    seconds = 0.0
    if match:
        seconds = sum(
            float(part) * unit
            for part, unit in zip(match.groups(), _SECONDS, strict=True)
            if part
        )
    if seconds <= 0:
        raise QuantityError(text=text, expected="a duration such as 90m, 45s or 11h30m")
    return seconds


def format_bytes(n_bytes: float) -> str:
    """Return ``n_bytes`` in MiB or GiB, as it is printed everywhere.

    Examples
    --------
    >>> format_bytes(3 * 2**20), format_bytes(5 * 2**30)
    ('3.0 MiB', '5.00 GiB')
    """
    if abs(n_bytes) < 2**30:
        return f"{n_bytes / 2**20:.1f} MiB"
    return f"{n_bytes / 2**30:.2f} GiB"


def format_measured(n_bytes: int | None) -> str:
    """Return bytes as `format_bytes` does, and say so where they were not measured."""
    return "not measured" if n_bytes is None else format_bytes(n_bytes)


def format_budget(n_bytes: int) -> str:
    """Return a budget as readings are printed and, where it was not said so, as it was said.

    Readings are in MiB or GiB. Somebody who typed 2G, which is 2 x 10^9 bytes, should
    recognise it beside them.

    Examples
    --------
    >>> format_budget(2 * 10**9), format_budget(2 * 2**30), format_budget(12_700_000_000)
    ('1.86 GiB (2 GB)', '2.00 GiB', '11.83 GiB (12.7 GB)')
    """
    binary = format_bytes(n_bytes)
    if n_bytes % 2**20 == 0 or n_bytes % 10**6:
        return binary
    unit = "GB" if n_bytes >= _DECIMAL["G"] else "MB"
    number = f"{n_bytes / _DECIMAL[unit[0]]:.3f}".rstrip("0").rstrip(".")
    return f"{binary} ({number} {unit})"


def format_seconds(seconds: float) -> str:
    """Return ``seconds`` as a person would say it.

    Examples
    --------
    >>> format_seconds(0.25), format_seconds(75), format_seconds(3700)
    ('0.25 s', '1 min 15 s', '1 h 01 min')
    """
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:  # noqa: PLR2004 - a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"

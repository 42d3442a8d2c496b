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

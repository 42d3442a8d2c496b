"""Numbers as text: JSON has no infinity and nothing that is not a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def texts_from_numbers(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values, each float as hexadecimal text that says it exactly.

    Examples
    --------
    >>> texts_from_numbers({"epoch": 1, "loss": 0.5, "odd": float("nan")})
    {'epoch': 1, 'loss': '0x1.0000000000000p-1', 'odd': 'nan'}
    """
    return {
        name: value.hex() if isinstance(value, float) else value
        for name, value in row.items()
    }


def numbers_from_texts(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of which `texts_from_numbers` made texts."""
    return {
        name: float.fromhex(value) if isinstance(value, str) else value
        for name, value in row.items()
    }

"""What a job's description answers where its author says nothing, whatever it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


def nowhere(*_: object) -> None:
    """Tell that a job cannot go on at a row."""


def alone(_: object) -> Literal[""]:
    """Tell that only the recipe counts."""
    return ""


def unnamed(_: object) -> Mapping[str, str]:
    """Name no inputs: what options and needs name is taken."""
    return {}

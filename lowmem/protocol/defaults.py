"""What a job's description answers where its author says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.protocol.job import PlanContext, Standing


def nowhere(*_: object) -> None:
    """Tell that a job cannot go on at a row."""


def alone(_: PlanContext) -> Standing:
    """Tell that only the recipe counts."""
    return ""


def unnamed(_: PlanContext) -> Mapping[str, str]:
    """Name no inputs: what options and needs name is taken."""
    return {}

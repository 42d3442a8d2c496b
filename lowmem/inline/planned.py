"""What `lowmem plan` predicts, as values that a notebook shows."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import msgspec

from lowmem.base.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = ("job", "settings", "RAM peak", "how it is known", "")


class PlannedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a job would need with some settings.

    Attributes
    ----------
    ram_peak_bytes
        Of the whole job, the supervisor included; None if unknown before it has run.
    vram_peak_bytes
        Of the device; None where none is used, or it is not known.
    source
        ``analytic`` by a formula, ``calibrated`` by trial runs, ``remembered`` of a
        former run, or ``unknown``.
    """

    settings: dict[str, int]
    ram_peak_bytes: int | None
    vram_peak_bytes: int | None
    source: str


class PlannedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What one job would need.

    Attributes
    ----------
    fits
        None where something must be made first, before it can be known.
    missing
        What must be made first, and the job that makes it.
    settings, ram_peak_bytes, vram_peak_bytes
        Those that a run would begin with; None if none fits.
    smallest_ram_budget_bytes
        In which it is tried with its smallest settings; None if not known.
    ladder
        All its settings, the largest first.
    """

    job: str
    device: str
    ram_budget_bytes: int
    fits: bool | None
    missing: list[str]
    settings: dict[str, int] | None
    ram_peak_bytes: int | None
    vram_peak_bytes: int | None
    smallest_ram_budget_bytes: int | None
    ladder: list[PlannedSettings]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of a command would need, in their order; shown as a table."""

    plans: list[PlannedJob]

    @property
    def fits(self) -> bool:
        """Whether every job of which it is known fits."""
        return all(job.fits is not False for job in self.plans)

    def __repr__(self) -> str:  # type: ignore[explicit-override]
        """Return a line for each choice of settings."""
        return "\n".join("  ".join(filter(None, row)) for row in self._rows())

    def _repr_html_(self) -> str:
        lines = [("th", _HEADER), *(("td", row) for row in self._rows())]
        cells = (
            "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
            for tag, row in lines
        )
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>"

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for plan in self.plans:
            if plan.fits is None:
                needed = ", ".join(plan.missing)
                yield plan.job, "", "", f"{needed} must be made first", ""
            for rung in plan.ladder:
                named = ", ".join(f"{k} {v}" for k, v in rung.settings.items())
                peak = rung.ram_peak_bytes
                is_chosen = plan.fits and rung.settings == plan.settings
                yield (
                    plan.job,
                    named,
                    "" if peak is None else format_bytes(peak),
                    rung.source,
                    "a run begins here" if is_chosen else "",
                )


def plan_from_json(text: str) -> Plan:
    """Return what ``lowmem plan --json`` printed."""
    return msgspec.json.decode(text, type=Plan)

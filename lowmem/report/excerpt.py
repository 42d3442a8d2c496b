"""Choose the cycles to show where there are too many to show all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.report.schema import CycleReport


def excerpt(cycles: Sequence[CycleReport], *, at_most: int) -> list[CycleReport | int]:
    """Return the cycles to show; a number stands for so many left out in its place.

    Kept are the first and the last ones, the one with the highest peak, and, as far as
    there is room, those with new settings and those that do not count.

    Parameters
    ----------
    at_most
        Cycles to show, 4 or more.
    """
    if len(cycles) <= at_most:
        return list(cycles)
    shown: list[CycleReport | int] = []
    skipped = 0
    kept = _kept(cycles, at_most)
    for place, cycle in enumerate(cycles):
        if place not in kept:
            skipped += 1
            continue
        if skipped:
            shown.append(skipped)
        shown.append(cycle)
        skipped = 0
    return shown


def _kept(cycles: Sequence[CycleReport], at_most: int) -> set[int]:
    """Return the places of the cycles to show, at most ``at_most`` of them."""
    places = range(len(cycles))
    highest = max(places, key=lambda place: cycles[place].ram_peak_bytes or -1)
    changed = [
        place
        for place in places[1:]
        if cycles[place].settings != cycles[place - 1].settings
    ]
    lost = [place for place in places if cycles[place].outcome != "committed"]
    end = at_most // 3
    wanted = [highest, *places[:end], *places[-end:], *changed, *lost]
    return set(list(dict.fromkeys(wanted))[:at_most])

"""What a user who asks for an end is told: how far it is, and what asking again costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.stop_signals import WARNINGS
from lowmem.base.units import format_seconds

if TYPE_CHECKING:
    from lowmem.report.live import LiveState
    from lowmem.supervisor.stop_requests import Heard

_WARNING_NAMES = frozenset(number.name for number in WARNINGS)


def told_of_stop(
    heard: Heard, standing: LiveState, *, n_committed: int, since_commit_s: float | None
) -> str:
    """Return the line that answers a signal to stop.

    Parameters
    ----------
    n_committed
        Cycles that are committed.
    since_commit_s
        Seconds of work that no commit holds yet; None while the worker is not ready.
    """
    by = "Ctrl-C" if heard.by == "SIGINT" else heard.by
    loss = _loss(since_commit_s, n_committed)
    if heard.demands > 1:
        return f"{by} again: stopping at once; {loss}"
    cycles = "1 cycle is" if n_committed == 1 else f"{n_committed:,} cycles are"
    kept = f"{cycles} committed" if n_committed else "nothing is committed yet"
    part = standing.fraction
    done = "" if part is None else f", {100 * part:.0f} % are done"
    first = f"{by}: stopping at the next commit, which keeps all; so far {kept}{done}"
    if heard.by in _WARNING_NAMES:
        # Such a signal may come again and again, and asks for nothing more then.
        return first
    return f"{first}. A second {by} stops at once; {loss}"


def _loss(since_commit_s: float | None, n_committed: int) -> str:
    if since_commit_s is None:
        return "nothing is lost, since the worker is only starting"
    since = "the last commit" if n_committed else "its beginning"
    return f"the {format_seconds(since_commit_s)} of work since {since} are lost"

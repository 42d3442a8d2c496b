"""The clock of a process, set forward: what a result says of the time then shows."""

from __future__ import annotations

import os
import time
from typing import Any

# seconds: another year, month, weekday and hour.
SHIFT_S = 463 * 86_400 + 5 * 3_600 + 17 * 60 + 23


def go() -> None:
    """Let Python's clocks of this process show another day; monotonic ones go on.

    `time` shows another year to modules that are loaded from here on, local times of
    `datetime` another day. `datetime` in UTC, and C libraries, show what it is.
    """
    plain, plain_ns = time.time, time.time_ns
    _set(time, "time", lambda: plain() + SHIFT_S)
    _set(time, "time_ns", lambda: plain_ns() + SHIFT_S * 10**9)
    for name in ("gmtime", "localtime", "ctime"):
        _set(time, name, _of_now(getattr(time, name)))
    for name, n_before in (("strftime", 1), ("asctime", 0)):
        _set(time, name, _of_today(getattr(time, name), n_before))
    # Classes of `datetime` cannot be replaced: compiled libraries rely on their layout.
    # Their local time is that of the zone; at its other end it is another day.
    is_behind = time.localtime(plain()).tm_gmtoff > 0
    os.environ["TZ"] = f"FAR{'' if is_behind else '-'}23:59:59"
    time.tzset()


def _set(module: Any, name: str, value: object) -> None:  # noqa: ANN401 - a module
    setattr(module, name, value)


def _of_now(function: Any) -> Any:  # noqa: ANN401 - of the standard library
    """Return a function of seconds that takes them from the clock where none are given."""
    return lambda seconds=None: function(time.time() if seconds is None else seconds)


def _of_today(function: Any, n_before: int) -> Any:  # noqa: ANN401 - likewise
    """Return a function of a moment that takes that of the clock where none is given."""

    def called(*args: Any) -> Any:  # noqa: ANN401 - likewise
        return (
            function(*args)
            if len(args) > n_before
            else function(*args, time.localtime())
        )

    return called

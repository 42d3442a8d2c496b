"""The clock of a process, set forward: what a result says of the time then shows."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

# seconds: another year, month, weekday and hour.
SHIFT_S = 463 * 86_400 + 5 * 3_600 + 17 * 60 + 23


def go() -> None:
    """Let Python's clocks of this process show another day; monotonic ones go on.

    Modules that are loaded from here on find it, whichever way they import the names.
    What asks the system itself, as C libraries do, does not.
    """
    plain, plain_ns = time.time, time.time_ns
    _set(time, "time", lambda: plain() + SHIFT_S)
    _set(time, "time_ns", lambda: plain_ns() + SHIFT_S * 10**9)
    for name in ("gmtime", "localtime", "ctime"):
        _set(time, name, _of_now(getattr(time, name)))
    for name, n_before in (("strftime", 1), ("asctime", 0)):
        _set(time, name, _of_today(getattr(time, name), n_before))
    _set(dt, "datetime", _Datetime)
    _set(dt, "date", _Date)


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


class _Like(type):
    """Lets what is no instance of a subclass pass for one: values made before, or by C."""

    def __instancecheck__(cls, value: object) -> bool:  # type: ignore[explicit-override]
        return isinstance(value, cls.__base__ or object)


class _Datetime(dt.datetime, metaclass=_Like):
    """A `datetime` that asks the clock of this module."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> _Datetime:  # type: ignore[explicit-override]
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def today(cls) -> _Datetime:  # type: ignore[explicit-override]
        return cls.fromtimestamp(time.time())

    @classmethod
    def utcnow(cls) -> _Datetime:  # type: ignore[explicit-override]
        return cls.fromtimestamp(time.time(), dt.UTC).replace(tzinfo=None)


class _Date(dt.date, metaclass=_Like):
    """A `date` that asks the clock of this module."""

    @classmethod
    def today(cls) -> _Date:  # type: ignore[explicit-override]
        return cls.fromtimestamp(time.time())

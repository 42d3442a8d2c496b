"""What a supervised function raised, between its process and its caller.

The caller catches what the function raised: the error has the class of the original too.
That class is looked for among what the caller has loaded. Nothing is imported, and
nothing of the exception is unpickled: its arguments and attributes cross where JSON has a
form for them, its text always.
"""

from __future__ import annotations

import contextlib
import math
import sys
import traceback

import msgspec

from lowmem.base.errors import LowmemError
from lowmem.base.errors_inline import FunctionError
from lowmem.inline.guard import is_refused
from lowmem.inline.user_lines import place_of_error

Plain = None | bool | int | float | str

# What OSError keeps beside its arguments.
_OF_THE_SYSTEM = ("errno", "strerror", "filename")
# The frame in which it is caught is lowmem's own.
_OWN_FRAMES = 1


class Raised(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The function raised.

    Attributes
    ----------
    kind
        Name of the class.
    home
        Its module, and its name there: ``json:decoder.JSONDecodeError``.
    arguments
        What it was made of; None where that cannot cross.
    attributes
        Its own that can cross.
    is_refused
        Whether it was for lack of memory.
    """

    kind: str
    home: str
    message: str
    arguments: tuple[Plain, ...] | None
    attributes: dict[str, Plain]
    traceback: str
    where: str | None
    is_refused: bool


def raised_of(error: BaseException) -> Raised:
    """Return what crosses of an exception that was caught by the frame above."""
    own = error.__traceback__
    theirs = own.tb_next if own is not None and own.tb_next is not None else own
    is_ours = isinstance(error, LowmemError)
    told = traceback.format_exception(type(error), error, theirs)
    named = {name: getattr(error, name, None) for name in _OF_THE_SYSTEM}
    kept = (named if isinstance(error, OSError) else {}) | vars(error)
    return Raised(
        kind=type(error).__name__,
        home=_as_text(f"{type(error).__module__}:{type(error).__qualname__}"),
        message=_as_text(_message_of(error)),
        arguments=tuple(error.args) if all(map(_is_plain, error.args)) else None,
        attributes={name: one for name, one in kept.items() if _is_plain(one)},
        traceback="" if is_ours else _as_text("".join(told)),
        where=place_of_error(error),
        is_refused=is_refused(error),
    )


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a class of the user's may fail in any way
        return "(it cannot be told as text)"


def _as_text(text: str) -> str:
    """Return a text that JSON takes: half a surrogate pair is written as its number."""
    return text.encode("utf-8", "backslashreplace").decode()


def _is_plain(value: object) -> bool:
    """Return whether JSON gives a value back the same."""
    if isinstance(value, str):
        return type(value) is str and _as_text(value) == value
    if isinstance(value, float):
        return type(value) is float and math.isfinite(value)
    is_small = type(value) is int and abs(value) < 2**63
    return value is None or type(value) is bool or is_small


def error_of(raised: Raised) -> FunctionError:
    """Return the error for the caller, of the original's class too where that is here."""
    kind = _class_at(raised.home)
    made = FunctionError if kind is None else _both(kind)
    return _filled(made, raised)


def _filled(made: type[FunctionError], raised: Raised) -> FunctionError:
    error = made(
        kind=raised.kind,
        message=raised.message,
        traceback=raised.traceback,
        where=raised.where,
    )
    if made is not FunctionError:
        if raised.arguments is not None:
            error.args = raised.arguments
        for name, value in raised.attributes.items():
            # One that its class computes, or that is the error's own here.
            if not hasattr(FunctionError, name) and name not in vars(error):
                with contextlib.suppress(AttributeError, TypeError):
                    setattr(error, name, value)
    return error


def _class_at(home: str) -> type[Exception] | None:
    """Return the class of an exception that is loaded here; None for another."""
    module, _, path = home.partition(":")
    found: object = sys.modules.get(module)
    for name in path.split("."):
        # One that was made within a function has <locals> in its name.
        found = getattr(found, name, None)
    if not isinstance(found, type) or not issubclass(found, Exception):
        return None
    return None if issubclass(found, LowmemError) else found


def _both(kind: type[Exception]) -> type[FunctionError]:
    """Return a class that is caught as a `FunctionError`, and as the original."""
    # IPython shows one that has no place in a source as if it had.
    if issubclass(kind, SyntaxError):
        return FunctionError
    try:
        both = type(kind.__name__, (FunctionError, kind), {"__module__": __name__})
        both(kind="", message="", traceback="", where=None)
    except Exception:  # noqa: BLE001 - a class of the user's may refuse this in any way
        return FunctionError
    return both

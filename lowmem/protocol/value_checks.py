"""Checks of the values that a job gives, made where it gives them.

What is wrong would otherwise fail in another process, far from the line at fault.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import TypeGuard

LADDER = "one or more mappings of names to whole numbers, such as [{'block': 4}]"
# Options of every run, and keys of every recipe: a job's own of such a name would be lost.
RESERVED = (
    "workspace", "ram_budget", "vram_budget", "time_budget", "device", "seed",
    "cycle_steps", "recycle_every", "mirror", "mirror_data", "restart", "set", "quiet",
    "shard", "lease", "engine", "shards", "shard_ram", "engine_address",
    "engine_option", "help", "json", "version",
)  # fmt: skip
# What a default may be, exactly: NumPy's numbers do not cross to the supervisor.
_DEFAULTS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "flag": (bool,),
    "path": (str,),
}
# The same of what lists hold.
_ITEMS: dict[str, tuple[type, ...]] = {
    "ints": (int,),
    "floats": (int, float),
    "texts": (str,),
}


def require(name: str, expected: str, value: object, *, holds: bool) -> None:
    """Raise a `ValueError` for ``value`` unless its rule ``holds``."""
    if not holds:
        raise ValueError(f"{name} must be {expected}, got {value!r}")


def whole(name: str, value: object) -> int:
    """Return a whole number as Python's own, NumPy's too.

    Raises
    ------
    TypeError
        If it is something else, a float with a whole value included.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    return number


def is_settings(value: object) -> bool:
    """Return whether ``value`` maps names to whole numbers.

    Examples
    --------
    >>> is_settings({"block": 4}), is_settings({"block": 0.5}), is_settings(["block"])
    (True, False, False)
    """
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and type(number) is int for name, number in value.items()
    )


def is_ladder(value: object) -> bool:
    """Return whether ``value`` is a ladder: one or more mappings of settings."""
    if not isinstance(value, Sequence):
        return False
    return len(value) > 0 and all(is_settings(settings) for settings in value)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Return whether ``value`` is a list of some kind; text, of letters, is not."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def is_texts(value: object) -> bool:
    """Return whether ``value`` is a list of texts."""
    return is_list(value) and all(isinstance(text, str) for text in value)


def is_default(kind: str, value: object) -> bool:
    """Return whether ``value`` may be the default of an option of this kind."""
    if value is None:
        return True
    kinds = _ITEMS.get(kind) or _DEFAULTS[kind]
    items = (value if is_list(value) else ()) if kind in _ITEMS else (value,)
    # No infinity and no NaN: JSON has neither.
    return len(items) > 0 and all(
        type(item) in kinds and (not isinstance(item, float) or math.isfinite(item))
        for item in items
    )

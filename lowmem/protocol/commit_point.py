"""A place where a job may be cut: what its work yields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lowmem.protocol.value_checks import require, whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Arrays = Iterable[tuple[str, NDArray[np.generic]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitPoint:
    """A place where the job may be cut.

    Attributes
    ----------
    items
        Items done since the previous point; where 0, the rows of `Context.blocks`.
    state
        JSON values: with ``arrays``, all that the job needs to go on from here. One
        that would not come back equal (NaN, keys that are no text, NumPy's numbers)
        is refused; a tuple comes back as a list.
    arrays
        Larger state, by name, or a function that yields it, called only if this point
        is committed.
    flush
        Called before a commit: must make durable what the job wrote by itself.
    is_due
        Whether to commit here whatever the pace: a state that is worth keeping, such as
        the last one, from which a run that asks for more goes on.
    values
        What `Context.commit` was given, in the place of ``state`` and ``arrays``; taken
        only if this point is committed.
    """

    items: int = 0
    state: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[np.generic]] | Callable[[], Arrays] = field(
        default_factory=dict
    )
    flush: Callable[[], None] | None = None
    is_due: bool = False
    values: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        require("items", ">= 0", self.items, holds=whole("items", self.items) >= 0)
        require("state", "a mapping", self.state, holds=isinstance(self.state, Mapping))
        is_arrays = callable(self.arrays) or isinstance(self.arrays, Mapping)
        require("arrays", "a mapping or a function", self.arrays, holds=is_arrays)
        is_flush = self.flush is None or callable(self.flush)
        require("flush", "a function", self.flush, holds=is_flush)
        is_values = self.values is None or isinstance(self.values, Mapping)
        require("values", "a mapping", self.values, holds=is_values)
        is_one_way = self.values is None or not (self.state or self.arrays)
        rule = "the only state, without state= and arrays="
        require("values", rule, self.values, holds=is_one_way)

"""What a job keeps by name: `Context.restore` gives it back, `Context.commit` takes it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# What `Context.commit` takes beside the values, and the words of the long form: a value
# of such a name would be taken for something else.
NO_VALUES = ("items", "flush", "is_due", "state", "arrays")


class NamedValues(SimpleNamespace):
    """Values by name, as attributes; they may be set.

    Gone through, it gives the values in the order in which they were named.

    Examples
    --------
    >>> at = NamedValues(total=0.5, epoch=2)
    >>> total, epoch = at
    >>> at.epoch += 1
    >>> total, epoch, vars(at)
    (0.5, 2, {'total': 0.5, 'epoch': 3})
    """

    def __iter__(self) -> Iterator[Any]:
        return iter(vars(self).values())

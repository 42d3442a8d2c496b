"""Which generations may be deleted: a pure decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# The newest, and one to fall back to should the newest turn out damaged.
KEPT_GENERATIONS = 2


def expired_generations(
    present: Iterable[int], *, keep: int = KEPT_GENERATIONS
) -> list[int]:
    """Return the generations to delete, oldest first.

    Examples
    --------
    >>> expired_generations([4, 2, 3])
    [2]
    """
    return sorted(present)[:-keep]

"""Which blocks are whose: ``--shard 3/16``, or what a SLURM array says. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import OptionValueError

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTO = "auto"
# Names are padded to so many digits; a cluster has fewer tasks.
MOST_SHARDS = 9_999
_TEXT = re.compile(r"(\d{1,4})/(\d{1,4})", re.ASCII)
_RULE = f"I/N with I from 0 to N - 1 and N at most {MOST_SHARDS}, such as 0/4"
_TASK = "SLURM_ARRAY_TASK_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One share of a job's blocks.

    Attributes
    ----------
    index
        Which one, from 0.
    count
        How many there are.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count <= MOST_SHARDS:
            raise ValueError(f"shard must be {_RULE}, got {self}")

    # `typing.override`, which mypy would have here, came with Python 3.12.
    def __str__(self) -> str:  # type: ignore[explicit-override]
        return f"{self.index}/{self.count}"

    def blocks(self, n_blocks: int) -> range:
        """Return the blocks of this share; all shares together have each block once.

        Examples
        --------
        >>> [Shard(index=i, count=3).blocks(8) for i in range(3)]
        [range(0, 2), range(2, 5), range(5, 8)]
        >>> Shard(index=0, count=3).blocks(2)
        range(0, 0)
        """
        first = self.index * n_blocks // self.count
        return range(first, (self.index + 1) * n_blocks // self.count)


def shard_from_text(text: str, environment: Mapping[str, str]) -> Shard:
    """Return the shard that was typed; for ``auto``, that of a SLURM array's task.

    Raises
    ------
    OptionValueError
        If it is no shard, or ``auto`` finds no array whose tasks are evenly spaced.

    Examples
    --------
    >>> shard_from_text("3/16", {})
    Shard(index=3, count=16)
    """
    if text.strip().lower() == AUTO:
        return _from_slurm(environment)
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise OptionValueError(option="--shard", value=text, expected=_RULE)
    index, count = map(int, found.groups())
    if not index < count <= MOST_SHARDS:
        raise OptionValueError(option="--shard", value=text, expected=_RULE)
    return Shard(index=index, count=count)


def _from_slurm(environment: Mapping[str, str]) -> Shard:
    """Return the place of a task in its array, which may begin at any number."""
    told = {name: environment.get(_TASK + name, "") for name in ("ID", "COUNT", "MIN")}
    told["STEP"] = environment.get(f"{_TASK}STEP", "1")
    missing = [_TASK + name for name, text in told.items() if not text.isdecimal()]
    if missing:
        raise OptionValueError(
            option="--shard",
            value=AUTO,
            expected=f"a task of a SLURM array, where {missing[0]} is set; else I/N",
        )
    task, count, least, step = (int(told[n]) for n in ("ID", "COUNT", "MIN", "STEP"))
    # Of a list such as 1,3,7 SLURM tells neither its members nor this one's place.
    index, rest = divmod(task - least, max(1, step))
    if rest or not 0 <= index < count <= MOST_SHARDS:
        raise OptionValueError(
            option="--shard",
            value=AUTO,
            expected=f"an array whose tasks are evenly spaced (task {task} of {count} "
            f"from {least} on by {step}); else I/N",
        )
    return Shard(index=index, count=count)

"""What is made block by block: a store, each block of which any process may make.

A job that says so (`Job.blocks`) promises that a block's rows are a function of the
recipe and of which rows they are, and of nothing else: not of blocks made before, of the
settings in force or of the machine's state. `lowmem.testing` looks whether it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lowmem.protocol.context import Context
from lowmem.protocol.value_checks import require, whole

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class RowBlocks:
    """A store of one array, and how any block of its rows is made.

    Attributes
    ----------
    store, array
        Name of the group within the workspace, and of the array within the group.
    n_rows, block_rows
        Rows in all, and of one block, which is one chunk; the last may have fewer.
    row_shape, dtype, codec
        Of the array; the type as NumPy names it, such as ``float32``.
    make
        Returns rows ``start`` to ``stop`` (exclusive), those of one block.
    attributes
        JSON values that the group has.
    notes
        Lines for the report.
    summary
        Of the result, see `Result`.

    Examples
    --------
    >>> import numpy as np
    >>> powers = RowBlocks(
    ...     store="powers.zarr",
    ...     array="powers",
    ...     n_rows=10,
    ...     block_rows=4,
    ...     row_shape=(2,),
    ...     dtype="int64",
    ...     make=lambda start, stop: np.arange(start, stop)[:, None] ** [1, 2],
    ... )
    >>> powers.n_blocks, powers.span(2)
    (3, (8, 10))
    >>> powers.make(8, 10).tolist()
    [[8, 64], [9, 81]]
    """

    store: str
    array: str
    n_rows: int
    block_rows: int
    row_shape: Sequence[int]
    dtype: str
    make: Callable[[int, int], NDArray[Any]]
    codec: str = "none"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, least in (("n_rows", 0), ("block_rows", 1)):
            value = whole(name, getattr(self, name))
            require(name, f">= {least}", value, holds=value >= least)
        require("make", "a function", self.make, holds=callable(self.make))

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        return -(-self.n_rows // self.block_rows)

    def span(self, block: int) -> tuple[int, int]:
        """Return the first row of a block, and the one behind its last."""
        start = block * self.block_rows
        return start, min(start + self.block_rows, self.n_rows)


# Opens what makes the blocks: a model, a reader; closed once no more are wanted.
Blocks = Callable[[Context], AbstractContextManager[RowBlocks]]

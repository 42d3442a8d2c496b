"""A function of one row, for augmentation that a resumed training repeats to the bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from lowmem.stores.epoch_order import RowNumbers

_SEED_WORDS = 2**64
# Keeps its keys apart from those of orders, which are below.
_KEYS_FROM = 2**63


class RowTransform:
    """Applies ``function(row, rng)`` to rows, each with draws of its own.

    Parameters
    ----------
    function
        Takes a row, which it may change, and a `numpy.random.Generator`. Returns an array,
        of the same shape and dtype for every row.
    seed
        With the epoch and the row's number in the store it fixes what ``rng`` draws.
    sample
        A row of the store, which tells what the function makes of one.

    Attributes
    ----------
    shape, dtype
        Of what the function returns.

    Raises
    ------
    ValueError
        If the function returns something else than an array of numbers.

    Notes
    -----
    Randomness is counter-based (Philox): it depends on (seed, epoch, row) alone, neither on
    the batch, nor on what was drawn before. Cost: some 10 microseconds a row beside the
    function's own. Memory: a batch of results beside the batch.
    """

    def __init__(
        self,
        function: Callable[[NDArray[Any], np.random.Generator], object],
        *,
        seed: int,
        sample: NDArray[Any],
    ) -> None:
        self._function = function
        self._seed = seed % _SEED_WORDS
        found = function(sample.copy(), self._draws(0, 0))
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "biufc":
            kind = getattr(found, "dtype", type(found).__name__)
            raise ValueError(
                "transform must return a NumPy array of numbers for each row, got "
                f"{kind}; return np.asarray(...) of it"
            )
        self.shape, self.dtype = found.shape, found.dtype

    def __call__(
        self, rows: NDArray[Any], numbers: RowNumbers, *, epoch: int
    ) -> NDArray[Any]:
        """Return what the function makes of ``rows``, which have these ``numbers``.

        Raises
        ------
        ValueError
            If a result has another shape or dtype than the first one had.
        """
        made = np.empty((len(rows), *self.shape), self.dtype)
        for place, number in enumerate(numbers.tolist()):
            found = self._function(rows[place], self._draws(epoch, number))
            # `made` would cast it: then its values followed from the rows beside it.
            if not self._is_alike(found):
                raise ValueError(
                    f"transform made {_described(found)} of row {number}, and "
                    f"{_described(made[place])} of another: return one shape and dtype"
                )
            made[place] = found
        return made

    def _is_alike(self, found: object) -> bool:
        return (
            isinstance(found, np.ndarray)
            and found.shape == self.shape
            and found.dtype == self.dtype
        )

    def _draws(self, epoch: int, number: int) -> np.random.Generator:
        key = np.array([self._seed, _KEYS_FROM + epoch], np.uint64)
        counter = np.array([0, 0, number, 0], np.uint64)
        return np.random.Generator(np.random.Philox(key=key, counter=counter))


def _described(found: object) -> str:
    if isinstance(found, np.ndarray):
        return f"{found.dtype} of shape {found.shape}"
    return f"a {type(found).__name__}"

"""The data set that Keras is given: the batches of one epoch, from where it goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras

if TYPE_CHECKING:
    from lowmem.fitting.batch_sources import Batch, Source


class Batches(keras.utils.PyDataset):
    """Epochs of ``steps`` batches each, of which one may begin within.

    Until `begin` is called it is the first epoch. That is what Keras looks at before it
    trains, whatever epoch goes on then: the shapes that it compiles for must not depend
    on where a process began.

    Parameters
    ----------
    steps
        Batches in an epoch of Keras'. Where the source has another number, they go on
        from epoch to epoch.
    """

    def __init__(self, source: Source, steps: int) -> None:
        super().__init__()
        self._source = source
        self._steps = steps
        self._first, self._length = 0, steps

    def begin(self, epoch: int, start: int) -> None:
        """Make batch ``start`` of ``epoch`` the one with index 0, and the rest the length.

        Keras asks for the length of all epochs before, and for that of this one where it
        begins to read.
        """
        self._first = epoch * self._steps + start
        self._length = self._steps - start

    @property
    def num_batches(self) -> int:
        """What is left of the epoch."""
        return self._length

    def __len__(self) -> int:
        """Return the same."""
        return self._length

    def __getitem__(self, index: int) -> Batch:
        """Return one batch; a function of the epoch that was begun and the index."""
        number = self._first + index
        n_batches = self._source.n_batches
        place = (0, number) if n_batches is None else divmod(number, n_batches)
        return self._source.batch(*place)

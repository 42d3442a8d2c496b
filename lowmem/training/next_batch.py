"""Which batch of an epoch Keras is given: the next one, whatever number it asks for.

`fit` shuffles the numbers of a data set's batches by itself, by Python's `random`, unless
it is told not to. The order of samples is the sequence's own. So within an epoch of
Keras' a number says no more than that a further batch is wanted, and one that is asked
for again is the batch that it was before.

An epoch of Keras' may end before all batches were asked for (``steps_per_epoch``) and the
next one go on with the rest, or begin anew. What tells is that Keras asks for the number
of batches where it begins anew, in the thread that then asks for the first of them.
"""

from __future__ import annotations

from threading import get_ident

import keras


class Asked:
    """What Keras has asked for in the current epoch."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._is_begun = False
        self._may_begin = False
        # Batches in an epoch as Keras was told last, and the thread that was told.
        self._length: int | None = None
        self._teller: int | None = None

    def tell(self, n_batches: int) -> int:
        """Return the number of batches, which Keras asks for before it begins."""
        self._length, self._teller = n_batches, get_ident()
        return n_batches

    def begin(self, n_batches: int) -> None:
        """Note that Keras begins an epoch.

        Raises
        ------
        ValueError
            If it takes the epoch to have another length than it has.
        """
        if self._length is not None and self._length != n_batches:
            raise ValueError(
                f"this epoch has {n_batches} batches, and fit continues with the "
                f"{self._length} that its first epoch had left: finish an epoch that was "
                "begun with fit(..., epochs=1), then call fit again"
            )
        self._is_begun = self._may_begin = True

    def place(self, index: int) -> int:
        """Return the place in the epoch of the batch that is asked for as ``index``."""
        if not self._is_begun:
            return index
        if self._may_begin and self._teller == get_ident():
            self._places = {}
            self._may_begin = False
        self._teller = None
        return self._places.setdefault(index, len(self._places))

    def has_all(self, n_batches: int) -> bool:
        """Return whether every batch of the epoch was asked for."""
        return self._is_begun and len(self._places) >= n_batches

    def forget(self) -> None:
        """Begin with nothing asked for; numbers are places until Keras begins."""
        self._places = {}
        self._is_begun = self._may_begin = False


class InOrder(keras.utils.Sequence):
    """A data set of Keras' that is asked for its batches in its own order, by one thread."""

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self._asked = Asked()

    @property
    def num_batches(self) -> int:
        """The length, as Keras asks for it."""
        return self._asked.tell(len(self))

    @property
    def workers(self) -> int:
        """One, whatever was given: two threads would take batches in any order."""
        return 1

    @workers.setter
    def workers(self, _: int) -> None: ...

    @property
    def use_multiprocessing(self) -> bool:
        """No, whatever was given: likewise."""
        return False

    @use_multiprocessing.setter
    def use_multiprocessing(self, _: bool) -> None: ...

    def on_epoch_begin(self) -> None:
        """Note that Keras begins an epoch.

        Raises
        ------
        ValueError
            If Keras takes it to be as short as the rest of the one before.
        """
        self._asked.begin(len(self))

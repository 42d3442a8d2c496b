"""Memory for batches that is used again, but only once nobody else holds it.

A fresh array of some megabytes costs a page fault for every 4 KiB of it: more than
filling it. A plain ring of buffers would save that and be wrong: frameworks take an
array without copying where they can (TensorFlow does so in ``tf.data``, PyTorch and JAX
often), and would see it change. Here the owner of a buffer is asked for its number of
references, which CPython keeps exactly: every array, memoryview or tensor that still
uses the memory counts.

The memory is mapped page by page from the kernel. What comes from `malloc` would stay in
the heap of the thread that asked for it; and TensorFlow takes an array without copying
only where it begins at a multiple of 64 bytes, as a page does.
"""

# NumPy's own array types are generic in Any.
from __future__ import annotations

import mmap
import sys
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# References to a buffer that nobody uses: the list, the loop that looks, and the
# argument of its question.
_OWN_REFERENCES = 3


class BufferPool:
    """Batches of one row shape and type.

    Parameters
    ----------
    n_rows
        Rows of a buffer. A larger batch gets memory of its own.
    most
        Buffers kept for reuse; further ones are left to Python.
    """

    def __init__(
        self,
        row_shape: tuple[int, ...],
        dtype: np.dtype[Any],
        *,
        n_rows: int,
        most: int,
    ) -> None:
        self._row_shape = row_shape
        self._dtype = dtype
        self._n_rows = n_rows
        self._most = most
        self._row_bytes = prod(row_shape) * dtype.itemsize
        self._owners: list[NDArray[np.uint8]] = []

    def take(self, n_rows: int) -> NDArray[Any]:
        """Return an array of ``n_rows`` rows whose content is arbitrary."""
        owner = self._unheld() if n_rows <= self._n_rows else None
        if owner is None:
            n_bytes = max(n_rows, self._n_rows) * self._row_bytes
            owner = _mapped(n_bytes)
            if n_rows <= self._n_rows and len(self._owners) < self._most:
                self._owners.append(owner)
        memory = owner[: n_rows * self._row_bytes]
        return memory.view(self._dtype).reshape(n_rows, *self._row_shape)

    def _unheld(self) -> NDArray[np.uint8] | None:
        for owner in self._owners:
            if sys.getrefcount(owner) == _OWN_REFERENCES:
                return owner
        return None

    def release(self) -> None:
        """Give back all memory that nobody else holds; the rest, once nobody does."""
        self._owners.clear()


def _mapped(n_bytes: int) -> NDArray[np.uint8]:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    # An empty mapping is none.
    memory = mmap.mmap(-1, max(n_bytes, 1), flags=flags)
    return np.frombuffer(memory, np.uint8)

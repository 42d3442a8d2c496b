"""Read batches in one thread of our own, ahead of whoever works on them."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Batch = TypeVar("Batch")


def read_ahead(
    read: Callable[[int], Batch], n_batches: int, *, queue_depth: int = 2
) -> Iterator[Batch]:
    """Yield batches 0, 1, ... in order, while one thread reads the next few.

    Parameters
    ----------
    queue_depth
        Batches read ahead.

    Notes
    -----
    Memory: the batches read ahead, and the one in use. An error of ``read`` is raised at
    its batch, after those before it.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as reader:
        indices = iter(range(n_batches))
        pending = deque(reader.submit(read, i) for i in islice(indices, queue_depth))
        while pending:
            batch = pending.popleft().result()
            pending.extend(reader.submit(read, i) for i in islice(indices, 1))
            yield batch
            # Else this name would keep the buffer while the next one is waited for.
            del batch

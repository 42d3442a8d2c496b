"""How fast this machine can fill memory: measured, since every machine is different."""

from __future__ import annotations

import ctypes
import mmap
import threading
import time

from lowmem.memory.budget import FILL_RATE
from lowmem.memory.machine import cpu_count

# The kernel fills pages on demand without returning to the program in between: nothing
# in a process can be faster.
_MADV_POPULATE_WRITE = 23
_REGION_BYTES = 4 * 2**20
_ROUNDS = 4
_MOST_THREADS = 16
# Of what was measured: other work may have slowed the measurement.
_MARGIN = 1.25
_LEAST_RATE = 4e9


def measured_fill_rate() -> float:
    """Return bytes a second that nothing on this machine can fill faster than.

    One thread for each core fills 4 MiB, four times; the best of each counts. Takes 10
    ms, and the memory is back when it returns. Kernels before 5.14 cannot be asked:
    then it is `FILL_RATE`.
    """
    n_threads = min(cpu_count(), _MOST_THREADS)
    best = [0.0] * n_threads
    threads = [
        threading.Thread(target=_fill_repeatedly, args=(best, index))
        for index in range(n_threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not all(best):
        return FILL_RATE
    return max(_LEAST_RATE, _MARGIN * sum(best))


def _fill_repeatedly(best: list[float], index: int) -> None:
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for _ in range(_ROUNDS):
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        with mmap.mmap(-1, _REGION_BYTES, flags=flags) as region:
            first = ctypes.c_char.from_buffer(region)
            began = time.perf_counter()
            failed = madvise(
                ctypes.addressof(first), _REGION_BYTES, _MADV_POPULATE_WRITE
            )
            took_s = time.perf_counter() - began
            # A region cannot be closed while something points into it.
            del first
        if not failed:
            best[index] = max(best[index], _REGION_BYTES / took_s)

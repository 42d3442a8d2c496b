"""Give memory back to the system, and say how much: between cycles, after a failure."""

from __future__ import annotations

import ctypes
import gc

from lowmem.memory.process_tree import anonymous_bytes


def clean_up() -> int:
    """Collect garbage, return freed memory to the system; return how many bytes.

    Notes
    -----
    glibc keeps freed memory for itself; ``malloc_trim`` returned 1,300 MiB that Python
    and TensorFlow had freed. Where the C library has no such call, only the collection
    is done. Clearing the Keras session is left to jobs that rebuild a model.
    """
    before = anonymous_bytes()
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    return max(0, before - anonymous_bytes())

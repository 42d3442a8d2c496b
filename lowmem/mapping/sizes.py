"""How many rows go where: functions of the data alone, never of a budget. Pure.

Three sizes, each a whole number of the one before:

- a *call*: the rows that the function is given at once. Sums over many numbers round
  otherwise in another number of rows, so it belongs to the recipe;
- a *block*: the rows of one chunk of the result, the least that is committed;
- what is *held*: calls in memory at once, one at work and the others read ahead. It alone
  is a memory setting.
"""

from __future__ import annotations

# bytes. Of a call's input: what NumPy does is fastest on what stays in the processor's
# cache, and a call costs some microseconds whatever its size.
_CALL_BYTES = 2**22
# A chunk of the source of up to so many is one call: it is read without being copied.
_LARGEST_CHUNK_BYTES = 2**24
# Of a block: input, which a kill may cost again, and result, which is held.
_BLOCK_INPUT_BYTES = 2**26
BLOCK_RESULT_BYTES = 2**24
# Calls held at once, largest first. More than these have never been faster.
HELD = (4, 2, 1)


def call_rows(row_bytes: int, chunk_rows: int | None) -> int:
    """Return how many rows the function is given at once, where the user does not say.

    Parameters
    ----------
    chunk_rows
        Rows that the source decodes at once; None where rows lie one behind the other.

    Examples
    --------
    >>> call_rows(27_648, 128), call_rows(27_648, 16), call_rows(27_648, None)
    (128, 144, 128)
    >>> call_rows(8, 100), call_rows(2**23, 64)
    (524200, 1)
    """
    fitting = max(1, _CALL_BYTES // max(1, row_bytes))
    if chunk_rows is not None:
        if chunk_rows <= fitting:
            return fitting // chunk_rows * chunk_rows
        if chunk_rows * row_bytes <= _LARGEST_CHUNK_BYTES:
            return chunk_rows
    # A power of two, so that calls and chunks meet again and again.
    return 1 << (fitting.bit_length() - 1)


def calls_in_block(call_bytes: int, result_bytes: int) -> int:
    """Return how many calls make a block.

    Parameters
    ----------
    call_bytes, result_bytes
        Bytes of the rows of one call, and of what the function returns for them.

    Examples
    --------
    >>> calls_in_block(2**22, 2**9), calls_in_block(2**22, 2**23), calls_in_block(2**30, 1)
    (16, 2, 1)
    """
    by_input = _BLOCK_INPUT_BYTES // max(1, call_bytes)
    by_result = BLOCK_RESULT_BYTES // max(1, result_bytes)
    return max(1, min(by_input, by_result))

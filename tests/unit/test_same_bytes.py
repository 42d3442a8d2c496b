"""The same rows have the same bytes, whatever threads and processors there are."""

from __future__ import annotations

import numpy as np
import pytest
from numcodecs import blosc

from lowmem.stores.chunk_encoder import ChunkEncoder
from lowmem.stores.codecs import CODECS


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_a_chunk_of_many_blocks_is_encoded_to_the_same_bytes_each_time(
    codec, dtype, monkeypatch
):
    drawn = np.random.default_rng(1).integers(0, 99, (8, 2**18))
    rows = drawn.astype(dtype)
    # As it is in the main thread where nobody has set it.
    monkeypatch.setattr(blosc, "use_threads", True)
    encoder = ChunkEncoder(codec, dtype, rows.shape)
    before = blosc.set_nthreads(4)
    try:
        found = {encoder.encode(rows)[0].tobytes() for _ in range(20)}
    finally:
        blosc.set_nthreads(before)
    assert len(found) == 1
    assert blosc.use_threads is True

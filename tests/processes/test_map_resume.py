"""A map that is killed when it is nearly done reads its last block: the short form of benchmarks/map.py."""

from __future__ import annotations

import pytest

from benchmarks.map import CHUNK_ROWS, resumed, write_source

pytestmark = [pytest.mark.process, pytest.mark.slow]


def test_a_map_killed_at_99_percent_reads_its_last_block_and_one_call(tmp_path):
    # Of each row 108 KiB are written, so that one call is a block.
    source = write_source(tmp_path / "source", "lz4", 5 * CHUNK_ROWS)
    found = resumed(tmp_path, source, "widened", ("--cycle-steps", "1"))
    assert found.block_rows == CHUNK_ROWS
    assert found.calls == ((3 * CHUNK_ROWS, CHUNK_ROWS), (4 * CHUNK_ROWS, CHUNK_ROWS))
    assert found.is_same

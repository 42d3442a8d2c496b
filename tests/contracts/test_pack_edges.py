"""What `pack` once lost without a word: it is kept, or refused by name."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
from pyarrow import parquet

from tests.packed_tables import pack, refused


def test_times_of_96_bits_are_refused_as_64_bits_would_wrap_around(tmp_path):
    times = pa.array([dt.datetime(9999, 12, 31)], pa.timestamp("us"))  # noqa: DTZ001
    table = pa.table(
        {
            "n": [7],
            "in": pa.StructArray.from_arrays([times], ["t"]),
            "l": pa.ListArray.from_arrays([0, 1], times),
            "l.x": [1],
            "t": times,
        }
    )
    source = tmp_path / "a.parquet"
    parquet.write_table(table, source, use_deprecated_int96_timestamps=True)
    for name in ("in.t", "l", "t"):
        message = refused(tmp_path, source, columns=["n", name])
        assert f"column '{name}'" in message
        assert "coerce_timestamps" in message
    assert pack(tmp_path, source, columns=["n", "l.x"])["n"][:] == [7]

"""`pack`: every kind of table gives its rows, wherever it is cut and however it is read."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError
from lowmem_jobs.pack import table_arrays
from lowmem_jobs.pack.job import JOB
from tests.driver import Cutter, drive
from tests.packed_tables import (
    WRITERS,
    digest_of,
    read_column,
    values_from,
)

# Two or three blocks a file, and one.
SMALL, LARGE = (
    {"block_kib": 64, "block_rows": 97},
    {"block_kib": 512, "block_rows": 999},
)
# Of whole files, row numbers begin at 0; the second file's at 1000.
FIRSTS = (0, 1000)


@pytest.fixture(autouse=True)
def chunks_are_small(monkeypatch):
    """Let chunks fill up many times within a few hundred rows."""
    monkeypatch.setattr(table_arrays, "_CHUNK_BYTES", 2400)
    monkeypatch.setattr(table_arrays, "_LEAST_CHUNK_BYTES", 800)


def pack(folder, sources, *, settings=SMALL, seed=1, **options):
    """Pack files in two attempts, each of other settings; return the group."""
    options = {"source": [str(source) for source in sources], **options}
    done = None
    for leave_after in (2, None):
        assert done is None, "it was never cut"
        done = drive(
            JOB,
            folder,
            options,
            settings=settings,
            seed=seed,
            leave_after=leave_after,
        )
        settings = {**settings, "block_rows": settings["block_rows"] + 3}
    assert done is not None
    return zarr.open_group(folder / "table.zarr", mode="r")


def pack_whole(folder, sources, **options):
    """Pack files in one attempt of large blocks."""
    texts = [str(source) for source in sources]
    summary = drive(JOB, folder, {"source": texts, **options}, settings=LARGE)
    assert summary is not None
    return zarr.open_group(folder / "table.zarr", mode="r")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Two files of each kind, and what both hold."""
    folder = tmp_path_factory.mktemp("tables")
    parts = [values_from(first) for first in FIRSTS]
    for name, write in WRITERS.items():
        for number, values in enumerate(parts):
            write(folder / f"{number}{name}", values)
    whole = {
        name: (
            np.concatenate([part[name] for part in parts])
            if isinstance(parts[0][name], np.ndarray)
            else [one for part in parts for one in part[name]]
        )
        for name in parts[0]
    }
    return folder, whole


def assert_equal(found, expected):
    """Compare bits, so that a NaN is told from another one."""
    if isinstance(expected, np.ndarray):
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()
    else:
        assert len(found) == len(expected)
        same = [
            np.array_equal(one, two) if isinstance(two, np.ndarray) else one == two
            for one, two in zip(found, expected, strict=True)
        ]
        assert all(same)


# Two files of a kind, and the columns to take where not all.
KINDS = {
    "csv": ("0a.csv", "1b.tsv", None),
    "jsonl": ("0c.jsonl.gz", "1c.jsonl.gz", None),
    "parquet": ("0d.parquet", "1d.parquet", None),
    # All else is Arrow's, as in Parquet.
    "arrow": ("0e.feather", "1f.arrow", ["single", "in.data", "text", "path", "kind"]),
    "hdf5": ("0g.h5", "1g.h5", None),
    "tfrecord": ("0h.tfrecord", "1h.tfrecord", None),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_any_kind_of_file_gives_its_rows_wherever_it_is_cut(kind, tables, tmp_path):
    folder, expected = tables
    one, two, columns = KINDS[kind]
    sources = [folder / one, folder / two]
    options = {"split": ["train=0.7", "rest=0.3"], "columns": columns}
    pack(tmp_path / "cut", sources, **options)
    whole = pack_whole(tmp_path / "whole", sources, **options)
    cut_digest, whole_digest = (
        digest_of(tmp_path / which / "table.zarr") for which in ("cut", "whole")
    )
    assert cut_digest == whole_digest
    stored = [name for name in whole.attrs["arrays"] if name != "split"]
    assert len(stored) >= 5
    for column in stored:
        name = column.removeprefix("in.")
        found, rows = read_column(whole, column), expected[name]
        if name == "data":
            found = [row.tobytes() for row in found]
        elif kind in {"jsonl", "tfrecord"} and name in {"point", "path"}:
            # Their whole numbers have 64 bits.
            rows = [row.astype(np.int64) for row in rows]
            rows = np.stack(rows) if name == "point" else rows
        assert_equal(found, rows)
    assert [one["rows"] for one in whole.attrs["sources"]] == [230, 230]
    assert whole["split"].shape == (460,)


def test_texts_of_lines_are_rows_without_their_ends(tmp_path):
    (tmp_path / "a.txt").write_bytes("one\r\n\nthreé\rx\nlast".encode())
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfmarked\n")
    group = pack(tmp_path / "w", [tmp_path / "a.txt", tmp_path / "b.txt"])
    assert read_column(group, "text") == ["one", "", "threé\rx", "last", "marked"]


def test_times_keep_their_whole_numbers_and_units(tables, tmp_path):
    folder, expected = tables
    group = pack_whole(
        tmp_path, [folder / "0d.parquet"], columns=["when", "day", "kind"]
    )
    assert_equal(group["when"][:], expected["when"][:230])
    assert group["when"].attrs["unit"] == "us"
    assert group["when"].attrs["timezone"] == "UTC"
    assert group["day"].attrs["unit"] == "D"
    assert sorted(group["kind"].attrs["class_names"]) == ["high", "low", "mid"]


def test_features_stand_side_by_side_and_labels_are_codes(tables, tmp_path):
    folder, expected = tables
    group = pack(
        tmp_path,
        [folder / "0e.feather", folder / "1e.feather"],
        columns=["half", "point", "kind"],
        features=["point", "half"],
        label="kind",
    )
    both = np.column_stack([expected["point"], expected["half"]])
    assert group["features"].dtype == np.float64
    np.testing.assert_array_equal(group["features"][:], both)
    assert read_column(group, "labels") == expected["kind"]
    assert group.attrs["arrays"] == {
        "features": ["point", "half"],
        "labels": ["kind"],
    }


def test_equal_keys_stay_in_one_part_and_blocks_do_not_matter(tables, tmp_path):
    folder, expected = tables
    shares = {"split": ["train=0.5", "test=0.25", "more=0.25"]}
    source = [folder / "0a.csv", folder / "1a.csv"]
    by_text = pack(tmp_path / "a", source, split_by="text", columns=["text"], **shares)
    again = pack_whole(
        tmp_path / "b", source, split_by="text", columns=["text"], **shares
    )
    np.testing.assert_array_equal(by_text["split"][:], again["split"][:])
    parts = {}
    for text, part in zip(expected["text"], by_text["split"][:], strict=True):
        assert parts.setdefault(text, part) == part
    assert by_text["split"].attrs["class_names"] == ["train", "test", "more"]
    only = {"columns": ["flag"], **shares}
    other = pack(tmp_path / "c", source, seed=2, **only)
    plain = pack(tmp_path / "d", source, **only)
    assert (other["split"][:] != plain["split"][:]).any()
    # 460 rows: four standard deviations of a half are 43.
    assert abs(int((plain["split"][:] == 0).sum()) - 230) < 43


@pytest.mark.parametrize("when", ["between attempts", "within one"])
def test_a_file_that_changes_while_it_is_read_is_refused(when, tmp_path):
    source = tmp_path / "a.csv"
    source.write_text("a\n" + "1\n" * 500)

    def change():
        source.write_text("a\n" + "2\n" * 500)

    class Changing(Cutter):
        def committed(self, cycle, returned_bytes):
            change()
            return super().committed(cycle, returned_bytes)

    options = {"source": [str(source)]}
    if when == "between attempts":
        assert drive(JOB, tmp_path, options, settings=SMALL, leave_after=2) is None
        change()
        overseer = Cutter()
    else:
        overseer = Changing()
    with pytest.raises(DataError, match=r"a\.csv changed while it was read"):
        drive(JOB, tmp_path, options, settings=SMALL, overseer=overseer)
    assert not (tmp_path / "table.zarr").exists()


def test_a_copy_with_the_same_bytes_goes_on(tmp_path):
    source = tmp_path / "a.csv"
    source.write_text("a\n" + "1\n" * 200)
    options = {"source": [str(source)]}
    assert drive(JOB, tmp_path, options, settings=SMALL, leave_after=2) is None
    copy = tmp_path / "copy"
    copy.write_bytes(source.read_bytes())
    copy.replace(source)
    assert drive(JOB, tmp_path, options, settings=SMALL) is not None

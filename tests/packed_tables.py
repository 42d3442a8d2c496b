"""Tables written by pandas, pyarrow, h5py and protobuf, and a packed store read by Zarr."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import struct
from itertools import pairwise
from pathlib import Path

import google_crc32c
import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import zarr
from pyarrow import feather, ipc, parquet

from lowmem.base.errors import LowmemError
from lowmem_jobs.pack.job import JOB
from tests.driver import drive

N_ROWS = 230
TEXTS = ["", "plain", "é and 😀", 'with "quotes", commas', "two\nlines", "x" * 300]
# A NaN that is not the usual one.
ODD_NAN = np.array([0x7FC12345], np.uint32).view(np.float32)[0]


def shown(word):
    """Return the program of docs/tables.md that has a word in it."""
    page = (Path(__file__).parents[1] / "docs" / "tables.md").read_text()
    (found,) = (
        text for text in re.findall(r"(?ms)^```py\n(.*?)^```$", page) if word in text
    )
    return found


def values_from(first, n_rows=N_ROWS):
    """Return the columns of a table, as NumPy and lists have them."""
    rng = np.random.default_rng(first)
    rows = np.arange(first, first + n_rows)
    single = rng.normal(size=n_rows).astype(np.float32)
    single[::7] = ODD_NAN
    return {
        "whole": rows - 2**60,
        "large": (rows.astype(np.uint64) + np.uint64(2**64 - 10**6)),
        "real": rng.normal(size=n_rows) * 10.0 ** rng.integers(-300, 300, n_rows),
        "single": single,
        "half": rng.normal(size=n_rows).astype(np.float16),
        "flag": rng.random(n_rows) > 0.5,
        "text": [TEXTS[row % len(TEXTS)] + str(row) * (row % 3) for row in rows],
        "data": [bytes([row % 256, 0, 255]) * (row % 4) for row in rows],
        "point": rng.integers(-9, 9, (n_rows, 3)).astype(np.int32),
        "path": [np.arange(row % 5, dtype=np.int16) + row % 99 for row in rows],
        "kind": [("low", "high", "mid")[(row + row % 2) % 3] for row in rows],
        "when": rows * 10**6 + 1_700_000_000_000_000,
        "day": (rows + 19_000).astype(np.int32),
    }


def arrow_table(values):
    """Return the columns as Arrow has them, one of them in a structure."""
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(values["point"].ravel()), 3)
    inner = pa.StructArray.from_arrays(
        [pa.array(values["real"]), pa.array(values["data"], pa.binary())],
        ["real", "data"],
    )
    return pa.table(
        {
            "whole": pa.array(values["whole"]),
            "large": pa.array(values["large"]),
            "in": inner,
            "single": pa.array(values["single"]),
            "half": pa.array(values["half"]),
            "flag": pa.array(values["flag"]),
            "text": pa.array(values["text"], pa.large_string()),
            "point": fixed,
            "path": pa.array(
                [one.tolist() for one in values["path"]], pa.list_(pa.int16())
            ),
            "kind": pa.array(values["kind"]).dictionary_encode(),
            "when": pa.array(values["when"], pa.timestamp("us", "UTC")),
            "day": pa.array(values["day"], pa.date32()),
        }
    )


def write_csv(path, values):
    names = ("whole", "large", "real", "flag", "text", "kind")
    frame = pd.DataFrame({name: values[name] for name in names})
    frame.to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")


def write_jsonl(path, values):
    names = ("whole", "large", "real", "flag", "text", "point", "path")
    lines = [
        json.dumps({name: _plain(values[name][row]) for name in names})
        for row in range(len(values["whole"]))
    ]
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8") as stream:
        # Lines that hold nothing are no rows.
        stream.write("\n\n".join(lines))


def _plain(value):
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def write_parquet(path, values):
    parquet.write_table(arrow_table(values), path, row_group_size=97)


def write_feather(path, values):
    feather.write_feather(arrow_table(values), path, compression="lz4", chunksize=60)


def write_stream(path, values):
    table = arrow_table(values)
    with ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=70)


def write_hdf5(path, values):
    with h5py.File(path, "w") as file:
        for name in ("whole", "large", "half", "flag", "point", "day"):
            file[name] = values[name]
        file.create_dataset("single", data=values["single"].astype(">f4"))
        file.create_dataset("in/real", data=values["real"], compression="gzip")
        texts = h5py.string_dtype()
        file.create_dataset("text", data=np.array(values["text"], object), dtype=texts)
        lists = np.empty(len(values["path"]), object)
        lists[:] = values["path"]
        file.create_dataset("path", data=lists, dtype=h5py.vlen_dtype(np.int16))


def framed(record):
    """Return a record as TFRecord files hold it."""

    def masked(data):
        crc = google_crc32c.value(data)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)

    head = struct.pack("<Q", len(record))
    return head + masked(head) + record + masked(record)


def _field(number, payload):
    return bytes([number << 3 | 2]) + _varint(len(payload)) + payload


def _varint(value):
    value %= 2**64
    out = b""
    while value > 127:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def example(features):
    """Return a tf.train.Example, written by hand from its .proto."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, bytes):
            listed = _field(1, _field(1, value))
        elif value.dtype == np.float32:
            listed = _field(2, _field(1, value.astype("<f4").tobytes()))
        else:
            listed = _field(3, _field(1, b"".join(map(_varint, value.tolist()))))
        entries += _field(1, _field(1, name.encode()) + _field(2, listed))
    return _field(1, entries)


def write_tfrecord(path, values):
    records = [
        framed(
            example(
                {
                    "whole": values["whole"][row : row + 1],
                    "single": values["single"][row : row + 1],
                    "point": values["point"][row].astype(np.int64),
                    "path": values["path"][row].astype(np.int64),
                    "data": values["data"][row],
                }
            )
        )
        for row in range(len(values["whole"]))
    ]
    path.write_bytes(b"".join(records))


WRITERS = {
    "a.csv": write_csv,
    "b.tsv": write_csv,
    "c.jsonl.gz": write_jsonl,
    "d.parquet": write_parquet,
    "e.feather": write_feather,
    "f.arrow": write_stream,
    "g.h5": write_hdf5,
    "h.tfrecord": write_tfrecord,
}


def read_column(group, name):
    """Return a column of a packed store: an array, or a list of what each row is."""
    node = group[name]
    if isinstance(node, zarr.Array):
        names = node.attrs.get("class_names")
        return node[:] if names is None else [names[code] for code in node[:]]
    offsets, values = node["offsets"][:], node["values"][:]
    rows = [values[i:j] for i, j in pairwise(offsets)]
    if node["values"].attrs.get("encoding") == "utf-8":
        return [row.tobytes().decode() for row in rows]
    return rows


def digest_of(folder):
    """Return one hash of all files of a folder, their names included."""
    whole = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(str(file.relative_to(folder)).encode() + b"\0")
        whole.update(hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()


# Of `pack`.
SETTINGS = {"block_kib": 64, "block_rows": 100}


def pack(folder, *sources, **options):
    """Pack files in one attempt of small blocks; return the group."""
    options = {"source": [str(source) for source in sources], **options}
    drive(JOB, folder / "w", options, settings=SETTINGS)
    return zarr.open_group(folder / "w" / "table.zarr", mode="r")


def refused(folder, *sources, **options):
    """Return what is said, in one line; nothing may be published."""
    with pytest.raises(LowmemError) as caught:
        pack(folder, *sources, **options)
    assert not (folder / "w" / "table.zarr").exists()
    assert caught.value.exit_code in {2, 65}
    return str(caught.value)


def written(folder, name, content):
    """Return the path of a new file."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def saved(folder, n_told=4):
    """Save a data set as Hugging Face's library does, in two files."""
    folder.mkdir(parents=True)
    names = ["data-00001-of-00002.arrow", "data-00000-of-00002.arrow"]
    for number, name in enumerate(names):
        table = pa.table({"x": [2 * number, 2 * number + 1]})
        with ipc.new_stream(folder / name, table.schema) as writer:
            writer.write_table(table)
    state = {"_data_files": [{"filename": name} for name in names], "_split": "train"}
    (folder / "state.json").write_text(json.dumps(state))
    info = {"splits": {"train": {"num_examples": n_told}}}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder

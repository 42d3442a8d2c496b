"""What comes from outside is bad data (65) in one sentence, or is read; it never hangs."""

from __future__ import annotations

import json
import os
import tarfile

import google_crc32c
import numpy as np
import pytest
import zarr

from lowmem.base.config import read_config
from lowmem.base.errors import ConfigError, DataError
from lowmem.base.outside import (
    MOST_LEVELS,
    open_regular,
    parsed_json,
    read_text_bytes,
)
from lowmem.base.workspace import Workspace
from lowmem.mapping.map_source import find_source
from lowmem.stores.layout import find_layout
from lowmem.stores.mapped import mapped_array
from lowmem.stores.metadata import fingerprint, read_array_info
from lowmem.stores.row_reader import RowReader
from lowmem_jobs.analyze.vector_header import read_npy_shape
from lowmem_jobs.ingest.job import JOB
from tests.driver import drive
from tests.objects import npy_of_objects

ROWS = np.random.default_rng(0).integers(1, 256, (32, 8, 8, 3)).astype(np.uint8)
DEEP = "[" * 200_000 + "]" * 200_000


def refused(call, *words: str):
    """Assert exit code 65 and one paragraph with these words."""
    with pytest.raises(DataError) as caught:
        call()
    assert caught.value.exit_code == 65
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def ingest(tmp_path, source):
    return drive(JOB, tmp_path / "w", {"source": str(source), "size": 8})


def read_all(store):
    with RowReader.open(store, "images") as reader:
        return reader.read(0, 32)


@pytest.fixture
def store(tmp_path):
    """A store of images whose metadata and chunks a test may spoil."""
    return made(tmp_path / "s.zarr", chunks=(8, 8, 8, 3))


def made(path, **layout: object):
    group = zarr.open_group(path, mode="w")
    group.create_array("images", data=ROWS, **layout)
    return path


def sharded(path, **layout: object):
    return made(path, chunks=(4, 8, 8, 3), shards=(16, 8, 8, 3), **layout)


def edit(store, change):
    file = store / "images/zarr.json"
    document = json.loads(file.read_bytes())
    change(document)
    file.write_text(json.dumps(document))


def chunk_of(store):
    return min(path for path in (store / "images/c").rglob("*") if path.is_file())


def set_chunks(lengths):
    return lambda d: d["chunk_grid"]["configuration"].update(chunk_shape=lengths)


SPOILT = {
    "a chunk of no length": (set_chunks([0, 8, 8, 3]), "the length 0"),
    "chunks of text": (set_chunks(["8", 8, 8, 3]), "the length '8'"),
    "chunks of a fraction": (set_chunks([8.5, 8, 8, 3]), "the length 8.5"),
    "chunks of a bool": (set_chunks([True, 8, 8, 3]), "the length True"),
    "chunks of other axes": (set_chunks([8]), "chunks of 1 axes"),
    "a negative length": (lambda d: d.update(shape=[-32, 8, 8, 3]), "length -32"),
    "a number for a shape": (lambda d: d.update(shape=32), "in place of lengths"),
    "attributes that are a list": (lambda d: d.update(attributes=[1]), "a mapping"),
    "codecs that are a mapping": (lambda d: d.update(codecs={"a": 1}), "KeyError"),
    "no codecs": (lambda d: d.update(codecs=[]), "cannot be opened"),
    "more rows than anybody has": (
        lambda d: d.update(shape=[10**12, 8, 8, 3]),
        "declares 125000000000 chunks and stores fewer than 6",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_metadata_that_cannot_be_meant_are_bad_data(tmp_path, store, name):
    change, word = SPOILT[name]
    edit(store, change)
    refused(lambda: ingest(tmp_path, store), "images", word)


def test_an_inner_chunk_of_no_length_is_bad_data(tmp_path):
    store = sharded(tmp_path / "s.zarr")
    edit(
        store,
        lambda d: d["codecs"][0]["configuration"].update(chunk_shape=[0, 8, 8, 3]),
    )
    refused(lambda: ingest(tmp_path, store), "the length 0")


def test_chunks_left_out_of_a_sparse_array_are_read_as_what_they_stand_for(tmp_path):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(10**9, 8), chunks=(10**6, 8), dtype="u1"
    )
    array[5 * 10**8] = 7
    with RowReader.open(tmp_path / "a.zarr") as reader:
        found = reader.read(5 * 10**8 - 1, 5 * 10**8 + 1)
    np.testing.assert_array_equal(found, [[0] * 8, [7] * 8])


@pytest.mark.parametrize("place", ["images/zarr.json", "zarr.json"])
def test_json_nested_deeper_than_the_stack_is_bad_data(tmp_path, store, place):
    (store / place).write_text(f'{{"node_type": {DEEP}}}')
    refused(lambda: ingest(tmp_path, store), "zarr.json", "nested on more than 64")


def test_levels_of_json_are_counted_whatever_the_interpreter_would_take():
    def nested(levels):
        return b"[" * levels + b"]" * levels

    assert parsed_json(nested(MOST_LEVELS), "x") is not None
    refused(lambda: parsed_json(nested(MOST_LEVELS + 1), "x"), "nested")
    refused(lambda: parsed_json(b"\xff\xfe{}", "x"), "x cannot be read")
    refused(lambda: parsed_json(b"1" * 5000, "x"), "x cannot be read")


def test_metadata_larger_than_any_that_are_meant_are_not_read(tmp_path):
    file = tmp_path / "zarr.json"
    file.touch()
    os.truncate(file, 2**40)
    refused(lambda: read_text_bytes(file), "has 1099511627776 bytes")


PLACES = [
    "images/zarr.json",
    "images/.zarray",
    "images/.zattrs",
    "zarr.json",
    "images/c/0/0/0/0",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_is_no_file_in_a_store_is_named_and_not_waited_for(
    tmp_path, store, place, make
):
    (store / place).unlink(missing_ok=True)
    make(store / place)
    kind = "is a pipe" if make is os.mkfifo else "is a folder"
    refused(lambda: ingest(tmp_path, store), place, kind)


def test_every_reader_of_chunks_refuses_a_pipe(tmp_path):
    layout = find_layout(made(tmp_path / "p.zarr", compressors=None) / "images")
    assert layout is not None
    victim = chunk_of(tmp_path / "p.zarr")
    victim.unlink()
    os.mkfifo(victim)
    refused(lambda: find_layout(tmp_path / "p.zarr/images"), "is a pipe")
    refused(lambda: fingerprint(tmp_path / "p.zarr"), "is a pipe")
    refused(lambda: open_regular(layout.path_of(0)), "is a pipe")
    refused(lambda: open_regular("/dev/null"), "is a device")


def spoil_index(store, offset):
    """Let the first inner chunk of the first shard lie elsewhere, with a right CRC."""
    file = chunk_of(store)
    data = bytearray(file.read_bytes())
    size = 4 * 16
    at = 0 if b'"start"' in (store / "images/zarr.json").read_bytes() else -size - 4
    index = np.frombuffer(bytes(data[at : at + size or None]), "<u8").copy()
    index[0] = offset
    crc = google_crc32c.value(index.tobytes()).to_bytes(4, "little")
    stop = at + size + 4
    data[at : stop or None] = index.tobytes() + crc
    file.write_bytes(data)


@pytest.mark.parametrize("compressors", [None, "auto"])
@pytest.mark.parametrize("offset", [2**40, 2**62, 2**63 + 5, 2**64 - 2])
def test_an_index_that_points_beyond_its_shard_is_bad_data_and_never_zeros(
    tmp_path, offset, compressors
):
    store = sharded(tmp_path / "s.zarr", compressors=compressors)
    spoil_index(store, offset)
    refused(lambda: read_all(store), chunk_of(store).name, "beyond its end")
    if compressors is None:
        refused(lambda: find_layout(store / "images"), "beyond its end")


def test_a_shard_cut_short_behind_its_index_is_bad_data_and_never_zeros(tmp_path):
    store = tmp_path / "s.zarr"
    group = zarr.open_group(store, mode="w")
    group.create_array(
        "images",
        data=ROWS,
        chunks=(4, 8, 8, 3),
        shards={"shape": (16, 8, 8, 3), "index_location": "start"},
    )
    file = chunk_of(store)
    os.truncate(file, file.stat().st_size // 2)
    refused(lambda: read_all(store), "beyond its end")


@pytest.mark.parametrize("codec", ["zstd", "blosc"])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_chunk_that_would_unpack_to_more_than_a_chunk_is_not_unpacked(
    tmp_path, codec, zarr_format
):
    numcodecs = pytest.importorskip("numcodecs")
    with_codec = {"zstd": numcodecs.Zstd(), "blosc": numcodecs.Blosc("lz4")}[codec]
    if zarr_format == 3:
        from zarr.codecs import BloscCodec, ZstdCodec

        layout = {"compressors": {"zstd": ZstdCodec(), "blosc": BloscCodec()}[codec]}
    else:
        layout = {"compressors": with_codec}
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=(32, 192),
        chunks=(8, 192),
        dtype="u1",
        zarr_format=zarr_format,
        **layout,
    )
    array[:] = ROWS.reshape(32, 192)
    with RowReader.open(tmp_path / "a.zarr") as reader:
        np.testing.assert_array_equal(reader.read(0, 32), ROWS.reshape(32, 192))
        file = reader.file_of(1)
        file.write_bytes(with_codec.encode(np.zeros(2**26, np.uint8)))
        refused(lambda: reader.read(8, 9), file.name, "unpacks to 67108864", "1536")


def header_of(text, version=1):
    width = 2 if version == 1 else 4
    return (
        b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(width, "little") + text
    )


def described(shape):
    return f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n".encode()


HEADERS = {
    "brackets": header_of(b"[" * 9000 + b"\n"),
    "signs": header_of(b"-" * 9000 + b"1\n"),
    "longer than any": header_of(b"(" * 60000),
    "longer than the file": b"\x93NUMPY\x02\x00" + (2**31).to_bytes(4, "little"),
    "no dictionary": header_of(b"[1, 2]\n"),
    "null bytes": header_of(bytes(100)),
    "no letters": header_of(b"\xff\xfe", version=3),
    "a side without an end": header_of(described("(2, 4, 1e999, 3)")),
    "half a side": header_of(described("(2, 4.5, 4, 3)")),
    "a side below none": header_of(described("(2, -4, 4, 3)")),
    "a side in words": header_of(described("(2, '4', 4, 3)")),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_numpy_that_is_none_is_bad_data(tmp_path, name):
    file = tmp_path / "a.npy"
    file.write_bytes(HEADERS[name])
    refused(lambda: ingest(tmp_path, file), "a.npy", "expected")
    assert read_npy_shape(file) is None
    refused(lambda: mapped_array(file), "a.npy cannot be read")
    refused(lambda: find_source(str(file), Workspace.at(tmp_path)), "is no .npy file")


def test_a_mapped_array_of_more_than_its_file_or_of_objects_is_bad_data(tmp_path):
    file = tmp_path / "z.npy"
    np.save(file, np.zeros((8, 4)))
    assert mapped_array(file).shape == (8, 4)
    os.truncate(file, 200)
    refused(lambda: mapped_array(file), "z.npy cannot be read")
    file.write_bytes(npy_of_objects((1,), tmp_path / "unpickled"))
    refused(lambda: mapped_array(file), "z.npy cannot be read")
    assert not (tmp_path / "unpickled").exists()
    file.unlink()
    os.mkfifo(file)
    refused(lambda: mapped_array(file), "is a pipe")


def test_a_header_of_numpy_is_read_whatever_its_length_spells(tmp_path):
    # 123 is the brace with which the literal begins.
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (2, 8, 8, 3)}"
    (tmp_path / "a.npy").write_bytes(header_of(text.ljust(122) + b"\n") + bytes(384))
    assert read_npy_shape(tmp_path / "a.npy") == (2, 8, 8, 3)
    assert ingest(tmp_path, tmp_path / "a.npy")["images"] == 2


def record(kind, size, name="././@LongLink"):
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def test_a_chain_of_long_names_in_a_tar_is_bad_data(tmp_path):
    link = record(tarfile.GNUTYPE_LONGNAME, 10) + b"a" * 10 + bytes(502)
    (tmp_path / "a.tar").write_bytes(link * 5000 + bytes(10240))
    refused(lambda: ingest(tmp_path, tmp_path / "a.tar"), "a.tar")


@pytest.mark.parametrize(
    "kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE]
)
def test_a_header_of_a_tar_is_not_read_beyond_what_headers_have(tmp_path, kind):
    file = tmp_path / "a.tar"
    file.write_bytes(record(kind, 200_000_000, "x") + b"199999999 comment=" + b"a" * 99)
    os.truncate(file, 200_020_480)
    refused(lambda: ingest(tmp_path, file), "a header of 200")


def test_a_configuration_nested_deeper_than_the_stack_is_wrong_usage(tmp_path):
    file = tmp_path / "lowmem.toml"
    file.write_text("a = " + "[" * 20_000 + "]" * 20_000)
    with pytest.raises(ConfigError, match="nested too deeply"):
        read_config(file)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_a_configuration_that_is_no_file_is_wrong_usage(tmp_path, make):
    make(tmp_path / "lowmem.toml")
    with pytest.raises(ConfigError, match=r"lowmem\.toml cannot be read"):
        read_config(tmp_path / "lowmem.toml")


def test_what_is_no_array_is_told_from_what_is_one(tmp_path, store):
    assert read_array_info(store) is None
    assert read_array_info(store / "images") is not None
    assert read_array_info(tmp_path / "nowhere") is None

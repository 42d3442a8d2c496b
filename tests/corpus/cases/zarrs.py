"""Zarr stores as several programs write them, packed ones, and stores that lie."""

from __future__ import annotations

import json

import numpy as np
import xarray
import zarr

from tests.corpus import zarrs
from tests.corpus.cases.arrays import UNITS, rows_of
from tests.corpus.cases.case import SIDE, Case, Right

KNOWN = "the array itself, written by our own hand from the specification"
RULE = "refused (docs/inputs.md)"
NONE = Right(rows=None, reason=".")
PLACES = Right(rows=None, reason="chunk")
MORE = np.random.default_rng(5).integers(1, 256, (7, SIDE, SIDE, 3)).astype("u1")
RIGHT = Right(rows=rows_of(MORE))
CUBES = (3, 8, 5, 2)


def _case(group, name, make, right=RIGHT, known=KNOWN, before="not tried", **options):
    def made(folder):
        found = make(folder / "a.zarr")
        return folder / "a.zarr" if found is None else found

    return Case(
        group=group,
        name=name,
        make=made,
        right=right,
        known=known,
        before=before,
        options=options,
    )


def _two(**options):
    return lambda path: zarrs.zarr_2(path, MORE, **options)


def _three(**options):
    return lambda path: zarrs.zarr_3(path, MORE, **options)


def _layouts():
    row = MORE.shape[1:]
    missing = MORE.copy()
    missing[2:4] = 7
    seven = Right(rows=rows_of(missing))
    for name, make, *more in (
        ("2, separator /", _two(separator="/")),
        ("2, no separator in its metadata", _two(said={"dimension_separator": ...})),
        ("2, gzip", _two(packing="gzip")),
        ("2, chunks that cut the pictures", _two(chunks=CUBES)),
        ("2, Fortran order, chunks that cut the pictures", _two(chunks=CUBES, order="F")),
        ("2, Fortran order, gzip, separator /", _two(chunks=CUBES, order="F", packing="gzip", separator="/")),
        ("2, a chunk larger than all", _two(chunks=(50, *row))),
        ("2, a filter of differences", _two(filters=[{"id": "delta", "dtype": "|u1", "astype": "|u1"}])),
        ("2, a chunk missing, 7 in its place", _two(fill=7, without=(1,)), seven),
        ("2, no filter named", _two(said={"filters": []})),
        ("3, separator .", _three(separator=".")),
        ("3, names as of format 2", _three(encoding="v2", separator=".")),
        ("3, gzip", _three(codecs=("bytes", "gzip"))),
        ("3, a sum behind each chunk", _three(codecs=("bytes", "crc32c"))),
        ("3, axes turned", _three(codecs=("transpose", "bytes"), order=[3, 1, 0, 2])),
        ("3, axes turned, chunks that cut the pictures, gzip", _three(codecs=("transpose", "bytes", "gzip"), order=[2, 3, 1, 0], chunks=CUBES)),
        ("3, a chunk missing, 7 in its place", _three(fill=7, without=(1,)), seven),
        ("3, names of its axes", _three(said={"dimension_names": ["n", "y", "x", "c"]})),
        ("3, sharded", _three(chunks=(1, 8, 8, 3), shard=(4, 16, 16, 3))),
        ("3, sharded, the index first", _three(chunks=(2, *row), shard=(4, *row), index_at="start")),
        ("3, sharded, gzip and sums", _three(chunks=(1, *row), shard=(4, *row), codecs=("bytes", "gzip", "crc32c"))),
        ("3, sharded, axes turned within", _three(chunks=(2, 8, 4, 3), shard=(4, 16, 8, 3), codecs=("transpose", "bytes"), order=[3, 2, 1, 0])),
        ("3, one shard for all", _three(chunks=(1, *row), shard=(8, *row))),
        ("3, sharded, a shard missing, 7 in its place", _three(chunks=(1, *row), shard=(2, *row), fill=7, without=(1,)), seven),
    ):  # fmt: skip
        yield _case("Zarr layouts", name, make, *more)
    for version, write in ((2, zarrs.zarr_2), (3, zarrs.zarr_3)):
        for kind in ("<f4", ">f4", "<f8", ">f8", "<f2"):
            array = UNITS.astype(kind)
            right = Right(rows=rows_of(array.astype(float) * 255, 0.52))
            yield _case(
                "Zarr layouts",
                f"{version}, {kind}, chunks that cut the pictures",
                lambda path, a=array, w=write: w(path, a, chunks=(2, 5, 16, 2)),
                right,
            )
    yield _case("Zarr layouts", "in groups of groups", _nested)
    yield _case("Zarr layouts", "3, consolidated", _consolidated)
    for name, compressors in (
        ("Blosc", zarr.codecs.BloscCodec()),
        ("Zstandard", zarr.codecs.ZstdCodec()),
    ):
        yield _case(
            "Zarr layouts",
            f"3, {name}, by zarr-python",
            lambda path, c=compressors: (
                zarr.create_array(path, data=MORE, chunks=(2, 8, 16, 3), compressors=c)
                and None
            ),
            known="the array itself, written by zarr-python",
        )


def _nested(path):
    path.mkdir()
    (path / "zarr.json").write_text(
        '{"zarr_format": 3, "node_type": "group", "attributes": {}}'
    )
    zarrs.group_3(path / "data", {"photos": MORE, "y": np.arange(7)})


def _consolidated(path):
    zarrs.group_3(path, {"images": MORE})
    zarr.consolidate_metadata(path)


def _altered(write, **said):
    """Return what writes a store whose metadata say something else."""

    def make(path):
        write(path, MORE)
        place = path / (".zarray" if (path / ".zarray").exists() else "zarr.json")
        document = json.loads(place.read_text())
        for name, value in said.items():
            document[name] = value
        place.write_text(json.dumps(document))

    return make


def _chunk_altered(write, change, **options):
    def make(path):
        write(path, MORE, **options)
        files = sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and not file.name.startswith((".z", "zarr"))
        )
        files[1].write_bytes(change(files[1].read_bytes()))

    return make


def _half(data):
    return data[: len(data) // 2]


def _flipped(data):
    return data[:60] + bytes([data[60] ^ 8]) + data[61:]


def _lies():
    v2, v3 = zarrs.zarr_2, zarrs.zarr_3
    unknown = [{"name": "rot13", "configuration": {}}]
    grid = {
        "name": "rectilinear",
        "configuration": {"chunk_shapes": [[2, 5], [16], [16], [3]]},
    }
    damaged = "the chunk is not whole"
    for name, make, right, known, before in (
        ("2, chunks nested, no separator in its metadata", _nested_unsaid, PLACES, "no chunk is at its place", "black pictures"),
        ("3, chunks without their folder", _moved, PLACES, "no chunk is at its place", "black pictures"),
        ("3, chunks named as in format 2", _renamed, PLACES, "no chunk is at its place", ""),
        ("nothing is stored, fill 9", lambda path: zarrs.zarr_2(path, MORE, fill=9, without=range(99)) and None, Right(rows=rows_of(MORE * 0 + 9)), "the fill value", ""),
        ("2, a raw chunk cut short", _chunk_altered(v2, _half), NONE, damaged, ""),
        ("2, a raw chunk too long", _chunk_altered(v2, lambda data: data + data), NONE, damaged, ""),
        ("2, a zlib chunk cut short", _chunk_altered(v2, _half, packing="zlib"), NONE, damaged, ""),
        ("2, a zlib chunk altered", _chunk_altered(v2, _flipped, packing="zlib"), NONE, "its sum tells", ""),
        ("2, a chunk of no bytes", _chunk_altered(v2, lambda _: b""), NONE, damaged, ""),
        ("3, a raw chunk cut short", _chunk_altered(v3, _half), NONE, damaged, ""),
        ("3, a raw chunk too long", _chunk_altered(v3, lambda data: data + data), NONE, damaged, ""),
        ("3, a chunk altered, its sum tells", _chunk_altered(v3, _flipped, codecs=("bytes", "crc32c")), NONE, "its sum tells", ""),
        ("3, a gzip chunk altered", _chunk_altered(v3, _flipped, codecs=("bytes", "gzip")), NONE, "its sum tells", ""),
        ("3, a shard cut short", _chunk_altered(v3, _half, chunks=(1, SIDE, SIDE, 3), shard=(2, SIDE, SIDE, 3)), NONE, damaged, ""),
        ("3, a shard without its index", _chunk_altered(v3, lambda data: data[:-36], chunks=(1, SIDE, SIDE, 3), shard=(2, SIDE, SIDE, 3)), NONE, damaged, ""),
        ("2, a compressor that nobody knows", _altered(v2, compressor={"id": "rot13"}), NONE, "nobody knows it", ""),
        ("2, a filter that nobody knows", _altered(v2, filters=[{"id": "rot13"}]), NONE, "nobody knows it", ""),
        ("3, a codec that nobody knows", _altered(v3, codecs=unknown), NONE, "nobody knows it", ""),
        ("3, an extension that must be understood", _altered(v3, weather={"name": "rain"}), NONE, "the specification: fail on unknown fields", ""),
        ("3, an extension that need not be", _altered(v3, weather={"must_understand": False}), RIGHT, "the specification: it may be ignored", ""),
        ("3, storage transformers", _altered(v3, storage_transformers=[{"name": "zip"}]), NONE, "nobody knows it", ""),
        ("3, chunks of different sizes", _altered(v3, chunk_grid=grid), NONE, "another grid: not read", ""),
        ("2, a shape of negative numbers", _altered(v2, shape=[-7, 16, 16, 3]), NONE, "no array", ""),
        ("2, chunks of no row", _altered(v2, chunks=[0, 16, 16, 3]), NONE, "no array", ""),
        ("2, more rows than there are chunks", _altered(v2, shape=[2**60, 16, 16, 3]), NONE, "no array has so many rows", ""),
        ("2, chunks of another number of axes", _altered(v2, chunks=[2, 16, 16]), NONE, "no array", ""),
        ("2, a type of objects", _altered(v2, dtype="|O"), NONE, "nothing is unpickled", ""),
        ("2, of format 4", _altered(v2, zarr_format=4), NONE, "nobody knows it", ""),
        ("2, metadata that are no JSON", _no_json(".zarray"), NONE, "no metadata", ""),
        ("3, metadata that are no JSON", _no_json("zarr.json"), NONE, "no metadata", ""),
        ("a group of nothing", lambda path: zarrs.group_2(path, {}) and None, NONE, "no array is in it", ""),
    ):  # fmt: skip
        yield _case("Zarr: lying", name, make, right, known, before or "not tried")


def _no_json(name):
    def make(path):
        path.mkdir()
        (path / name).write_text('{"zarr_format": ')

    return make


def _nested_unsaid(path):
    zarrs.zarr_2(path, MORE, separator="/", said={"dimension_separator": ...})


def _moved(path):
    zarrs.zarr_3(path, MORE)
    for chunk in (path / "c").iterdir():
        chunk.rename(path / chunk.name)
    (path / "c").rmdir()


def _renamed(path):
    zarrs.zarr_3(path, MORE)
    for chunk in (path / "c").iterdir():
        (chunk / "0/0/0").rename(path / f"c.{chunk.name}.0.0.0")


# --- numbers that stand for others (CF 1.11, section 8.1)

PACKED = {
    "bytes of 250 parts": {"dtype": "u1", "scale_factor": 1 / 250},
    "bytes, inverted": {"dtype": "u1", "scale_factor": -1 / 255, "add_offset": 1.0},
    "words with a missing value": {
        "dtype": "i2",
        "scale_factor": 1e-4,
        "_FillValue": -1,
    },
    "words with an offset": {"dtype": "i2", "scale_factor": 1e-4, "add_offset": 0.25},
    "floats": {"dtype": "f4"},
    "floats with a missing value": {"dtype": "f4", "_FillValue": -9999.0},
}


def _packed():
    for version in (2, 3):
        for name, encoding in PACKED.items():
            kind = np.dtype(encoding["dtype"])
            numbers = (UNITS - encoding.get("add_offset", 0)) / encoding.get(
                "scale_factor", 1
            )
            stored = numbers if kind.kind == "f" else np.rint(numbers)
            back = stored.astype(kind).astype(float) * encoding.get(
                "scale_factor", 1
            ) + encoding.get("add_offset", 0)
            right = Right(rows=rows_of(back * 255, 0.52))
            yield _case(
                "Zarr, packed by xarray",
                f"{version}, {name}",
                lambda path, e=encoding, v=version: _by_xarray(path, UNITS, e, v),
                right,
                "the values that were packed, unpacked by arithmetic (CF 8.1)",
                "taken as raw numbers" if kind.kind != "f" else "not tried",
            )
        holes = UNITS.copy()
        holes[1, 2, 3, 1] = np.nan
        encoding = {"dtype": "i2", "scale_factor": 1e-4, "_FillValue": -9999}
        yield _case(
            "Zarr, packed by xarray",
            f"{version}, a value missing",
            lambda path, h=holes, e=encoding, v=version: _by_xarray(path, h, e, v),
            NONE,
            "a value is missing",
            "taken as raw numbers",
        )
    write = {2: zarrs.zarr_2, 3: zarrs.zarr_3}
    for version in (2, 3):
        for name, attributes, right in (
            ("values outside valid_range", {"valid_range": [10, 200]}, NONE),
            ("signed bytes that are unsigned", {"_Unsigned": "true", "scale_factor": 1 / 255}, Right(rows=rows_of(MORE, 0.52))),
            ("attributes that are no numbers", {"scale_factor": "much"}, NONE),
            ("a scale of 0", {"scale_factor": 0.0}, Right(rows=rows_of(MORE * 0))),
            ("a scale that is not a number", {"scale_factor": "NaN"}, NONE),
            ("values beyond 1", {"scale_factor": 2.0}, NONE),
            ("a scale of 1", {"scale_factor": 1.0, "add_offset": 0.0}, RIGHT),
            ("units alone", {"units": "1", "long_name": "brightness"}, RIGHT),
        ):  # fmt: skip
            array = MORE.view("i1") if "signed" in name else MORE
            yield _case(
                "Zarr, packed by hand",
                f"{version}, {name}",
                lambda path, a=array, t=attributes, v=version: (
                    write[v](path, a, attributes=t) and None
                ),
                right,
                "arithmetic (CF 8.1)",
            )


def _by_xarray(path, values, encoding, version):
    data = xarray.Dataset({"images": (("n", "y", "x", "c"), values)})
    data.to_zarr(
        path, zarr_format=version, encoding={"images": encoding}, consolidated=False
    )


CASES = (*_layouts(), *_lies(), *_packed())

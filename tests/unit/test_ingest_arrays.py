"""Which array of a file is taken, and what its numbers stand for."""

from __future__ import annotations

import json
from io import BytesIO

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError, OptionValueError
from lowmem.stores.row_reader import RowReader
from lowmem_jobs.ingest import fortran_rows
from lowmem_jobs.ingest.append import JOB as APPEND
from lowmem_jobs.ingest.array_choice import rows_shape
from lowmem_jobs.ingest.job import JOB
from tests.corpus.npy import npy_of
from tests.driver import drive

RANDOM = np.random.default_rng(4)


def pictures(n_rows, *, grey=False):
    shape = (n_rows, 8, 8) if grey else (n_rows, 8, 8, 3)
    return RANDOM.integers(0, 256, shape).astype(np.uint8)


def npz(path, arrays):
    np.savez(path, **arrays)
    return path.with_suffix(".npz")


def zarr_2(path, arrays, version=2):
    group = zarr.open_group(path.with_suffix(".zarr"), mode="w", zarr_format=version)
    for name, array in arrays.items():
        group.create_array(name, data=array, chunks=(2, *array.shape[1:]))
    return path.with_suffix(".zarr")


def zarr_3(path, arrays):
    return zarr_2(path, arrays, version=3)


WRITERS = [npz, zarr_2, zarr_3]


def ingest(workspace, source, **options: object):
    drive(JOB, workspace, {"source": str(source), "size": 8, **options})
    return zarr.open_group(workspace / "images.zarr", mode="r")["images"][:]


TEST, TRAIN = pictures(3), pictures(6)
GREY_TEST, GREY_TRAIN = pictures(3, grey=True), pictures(6, grey=True)
NUMBERS = np.arange(6)
SEVERAL = {
    "splits": ({"x_test": TEST, "x_train": TRAIN}, ("x_test", "x_train")),
    "splits, the other way": (
        {"x_train": TRAIN, "x_test": TEST},
        ("x_test", "x_train"),
    ),
    "like mnist.npz": (
        {
            "x_test": GREY_TEST,
            "x_train": GREY_TRAIN,
            "y_test": NUMBERS[:3],
            "y": NUMBERS,
        },
        ("x_test", "x_train"),
    ),
    "masks": ({"masks": GREY_TRAIN, "photos": TRAIN}, ("masks", "photos")),
    "a mean": ({"images_mean": TEST, "photos": TRAIN}, ("images_mean", "photos")),
    "splits by images": (
        {"images_test": TEST, "images_train": TRAIN},
        ("images_test", "images_train"),
    ),
}


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", SEVERAL)
def test_of_several_arrays_that_can_be_images_the_user_is_asked_which(
    tmp_path, write, name
):
    arrays, named = SEVERAL[name]
    source = write(tmp_path / "a", arrays)
    with pytest.raises(DataError, match="--array NAME") as caught:
        ingest(tmp_path / "w", source)
    assert caught.value.exit_code == 65
    for one in named:
        assert one in str(caught.value)
    taken = arrays[named[1]]
    right = taken if taken.ndim == 4 else np.repeat(taken[..., None], 3, -1)
    images = ingest(tmp_path / "w", source, array=named[1])
    np.testing.assert_array_equal(images, right)


ONE = {
    "images": {"a": TEST, "images": TRAIN, "images_mean": TEST, "y": NUMBERS},
    "labels before": {"labels": NUMBERS, "photos": TRAIN},
    "features before": {"deep": NUMBERS.reshape(6, 1), "photos": TRAIN, "z": NUMBERS},
}


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("name", ONE)
def test_the_array_called_images_or_the_only_one_of_images_is_taken(
    tmp_path, write, name
):
    images = ingest(tmp_path / "w", write(tmp_path / "a", ONE[name]))
    np.testing.assert_array_equal(images, TRAIN)


@pytest.mark.parametrize("write", WRITERS)
def test_without_any_array_of_images_all_are_named(tmp_path, write):
    source = write(tmp_path / "a", {"x": NUMBERS, "y": NUMBERS})
    with pytest.raises(
        DataError, match=r"2 arrays, none that can be images \(x \(6,\)"
    ):
        ingest(tmp_path / "w", source)
    with pytest.raises(DataError, match="no array photos, but x"):
        ingest(tmp_path / "w", source, array="photos")


def test_arrays_in_groups_of_groups_are_found_and_can_be_named(tmp_path):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_array("data/train/pictures", data=TRAIN, chunks=(2, 8, 8, 3))
    np.testing.assert_array_equal(ingest(tmp_path / "w", tmp_path / "a.zarr"), TRAIN)
    group.create_array("data/test", data=TEST, chunks=(2, 8, 8, 3))
    with pytest.raises(DataError, match=r"data/test .*data/train/pictures"):
        ingest(tmp_path / "w2", tmp_path / "a.zarr")
    images = ingest(tmp_path / "w2", tmp_path / "a.zarr", array="data/test")
    np.testing.assert_array_equal(images, TEST)
    with pytest.raises(DataError, match=r"no array \.\./a"):
        ingest(tmp_path / "w3", tmp_path / "a.zarr", array="../a")


def test_an_array_is_named_only_of_what_holds_several(tmp_path):
    np.save(tmp_path / "a.npy", TEST)
    for source in (tmp_path / "a.npy", tmp_path, "faces:3"):
        with pytest.raises(OptionValueError, match="--array"):
            ingest(tmp_path / "w", source, array="images")


def test_two_arrays_of_one_file_are_two_sources_of_an_append(tmp_path):
    source = npz(tmp_path / "a", {"x_test": TEST, "x_train": TRAIN})
    ingest(tmp_path / "w", source, array="x_test")
    for _ in range(2):
        drive(APPEND, tmp_path / "w", {"source": str(source), "array": "x_train"})
        store = zarr.open_group(tmp_path / "w/images.zarr", mode="r")
        right = np.concatenate([TEST, TRAIN])
        np.testing.assert_array_equal(store["images"][:], right)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("write", ["npy", *WRITERS])
def test_one_picture_of_height_width_and_channels_is_one_picture(
    tmp_path, write, channels
):
    picture = RANDOM.integers(0, 256, (24, 16, channels)).astype(np.uint8)
    if channels == 4:
        picture[..., 3] = 255
    if write == "npy":
        np.save(tmp_path / "a.npy", picture)
        source = tmp_path / "a.npy"
    else:
        source = write(tmp_path / "a", {"photo": picture})
    images = ingest(tmp_path / "w", source)
    many = np.stack([picture, picture])
    np.save(tmp_path / "many.npy", many)
    np.testing.assert_array_equal(
        images, ingest(tmp_path / "w2", tmp_path / "many.npy")[:1]
    )
    assert rows_shape((24, 16, 5)) == (24, 16, 5)


# --- numbers that stand for others

VALUES = np.linspace(0, 1, 2 * 8 * 8 * 3).reshape(2, 8, 8, 3)
PACKINGS = {
    "u1 scaled": {"dtype": "u1", "scale_factor": 1 / 250},
    "u1 inverted": {"dtype": "u1", "scale_factor": -1 / 255, "add_offset": 1.0},
    "i2 scaled": {"dtype": "i2", "scale_factor": 1e-4, "_FillValue": -1},
    "i2 offset": {"dtype": "i2", "scale_factor": 1e-4, "add_offset": 0.25},
    "u2 scaled": {
        "dtype": "u2",
        "scale_factor": 1 / 60000,
        "add_offset": -1 / 60000,
        "_FillValue": 0,
    },
    "f4 plain": {"dtype": "f4"},
    "f4 with a fill": {"dtype": "f4", "_FillValue": -9999.0},
}


def xarray_store(path, values, encoding, version):
    xarray = pytest.importorskip("xarray", reason="it writes and reads packed stores")
    axes = ("n", "y", "x", "c")[: values.ndim]
    data = xarray.Dataset({"images": (axes, values)})
    data.to_zarr(
        path, zarr_format=version, encoding={"images": encoding}, consolidated=False
    )
    with xarray.open_zarr(path, consolidated=False) as back:
        return back["images"].values


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", PACKINGS)
def test_a_packed_store_holds_the_pictures_that_xarray_reads(tmp_path, name, version):
    encoding = dict(PACKINGS[name])
    back = xarray_store(tmp_path / "a.zarr", VALUES, encoding, version)
    assert np.isfinite(back).all()
    images = ingest(tmp_path / "w", tmp_path / "a.zarr")
    assert np.abs(images - back.clip(0, 1) * 255).max() <= 0.51


@pytest.mark.parametrize("version", [2, 3])
def test_signed_integers_may_stand_for_unsigned_ones(tmp_path, version):
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=version)
    array = group.create_array("images", data=TRAIN.view("i1"))
    array.attrs.update({"_Unsigned": "true", "scale_factor": 1 / 255})
    np.testing.assert_array_equal(ingest(tmp_path / "w", tmp_path / "a.zarr"), TRAIN)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("kind", ["i2", "f4"])
def test_pictures_with_missing_values_are_refused(tmp_path, version, kind):
    values = VALUES.copy()
    values[1, 2, 3, 1] = np.nan
    encoding = {"dtype": kind, "_FillValue": -9999}
    if kind == "i2":
        encoding |= {"scale_factor": 1e-4}
    xarray_store(tmp_path / "a.zarr", values, encoding, version)
    with pytest.raises(DataError, match=r"images\[1\] holds values from nan"):
        ingest(tmp_path / "w", tmp_path / "a.zarr")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("version", [2, 3])
def test_the_reader_gives_what_xarray_gives_or_refuses(tmp_path, version):
    values = RANDOM.normal(size=(50, 4))
    values[7, 2] = np.nan
    for number, encoding in enumerate(
        [
            {
                "dtype": "i2",
                "scale_factor": 1e-3,
                "add_offset": 2.0,
                "_FillValue": -32768,
            },
            {"dtype": "f4", "_FillValue": -9999.0},
            {"dtype": "i4", "scale_factor": 1e-6, "missing_value": 9},
        ]
    ):
        store = tmp_path / f"{number}.zarr"
        encoding.setdefault("_FillValue", 9)
        back = xarray_store(store, values, encoding, version)
        with RowReader.open(store, "images", unpack=True) as reader:
            assert reader.dtype == np.float64
            np.testing.assert_allclose(reader.read(0, 50), back, rtol=1e-6)
        with pytest.raises(DataError, match="packed values"):
            RowReader.open(store, "images")


@pytest.mark.parametrize(
    ("attributes", "missing"),
    [
        ({"valid_range": [10, 20]}, [True, False, False, True]),
        ({"valid_min": 10}, [True, False, False, False]),
        ({"valid_max": 20}, [False, False, False, True]),
        ({"missing_value": [5, 20]}, [True, False, True, False]),
        ({"valid_range": [0, 255]}, [False] * 4),
    ],
)
def test_values_that_are_not_valid_are_missing(tmp_path, attributes, missing):
    array = zarr.create_array(tmp_path / "a.zarr", data=np.uint8([5, 10, 20, 255]))
    array.attrs.update(attributes)
    with RowReader.open(tmp_path / "a.zarr", unpack=True) as reader:
        np.testing.assert_array_equal(
            np.isnan(reader.read(0, 4).astype(float)), missing
        )


def test_attributes_of_packing_that_are_no_numbers_are_bad_data(tmp_path):
    array = zarr.create_array(tmp_path / "a.zarr", data=NUMBERS)
    for attributes in ({"scale_factor": "much"}, {"_FillValue": {}}):
        array.attrs.put(attributes)
        with pytest.raises(DataError, match="attributes of packing"):
            RowReader.open(tmp_path / "a.zarr")


def test_plain_stores_of_any_writer_stay_plain(tmp_path):
    for version in (2, 3):
        array = zarr.create_array(
            tmp_path / f"{version}.zarr", data=TEST, zarr_format=version
        )
        array.attrs.update({"_ARRAY_DIMENSIONS": ["n", "y", "x", "c"], "units": "1"})
        with RowReader.open(tmp_path / f"{version}.zarr") as reader:
            assert reader.dtype == np.uint8


# --- chunks that are not where they should be


def nested_without_separator(path):
    array = zarr.create_array(
        path,
        data=TRAIN,
        chunks=(2, 8, 8, 3),
        zarr_format=2,
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    del array
    metadata = json.loads((path / ".zarray").read_text())
    assert metadata.pop("dimension_separator") == "/"
    (path / ".zarray").write_text(json.dumps(metadata))


def moved_by_hand(path):
    zarr.create_array(path, data=TRAIN, chunks=(2, 8, 8, 3))
    for chunk in (path / "c").iterdir():
        chunk.rename(path / chunk.name)
    (path / "c").rmdir()


def named_as_in_format_2(path):
    zarr.create_array(path, data=TRAIN, chunks=(2, 8, 8, 3))
    for chunk in (path / "c").iterdir():
        (chunk / "0/0/0").rename(path / f"c.{chunk.name}.0.0.0")


@pytest.mark.parametrize(
    "make", [nested_without_separator, moved_by_hand, named_as_in_format_2]
)
def test_a_store_none_of_whose_chunks_is_in_its_place_is_no_store_of_black_pictures(
    tmp_path, make
):
    make(tmp_path / "a.zarr")
    with pytest.raises(DataError, match="no chunk at a place such as"):
        ingest(tmp_path / "w", tmp_path / "a.zarr")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("separator", [".", "/"])
@pytest.mark.parametrize("is_sharded", [False, True])
def test_chunks_in_their_place_are_read_whatever_their_names(
    tmp_path, version, separator, is_sharded
):
    if is_sharded and version == 2:
        return
    zarr.create_array(
        tmp_path / "a.zarr",
        data=TRAIN,
        chunks=(2, 8, 8, 3),
        shards=(4, 8, 8, 3) if is_sharded else None,
        zarr_format=version,
        chunk_key_encoding={
            "name": "v2" if version == 2 else "default",
            "separator": separator,
        },
    )
    (tmp_path / "a.zarr/README.txt").write_text("mine")
    np.testing.assert_array_equal(ingest(tmp_path / "w", tmp_path / "a.zarr"), TRAIN)


def test_an_array_of_which_nothing_is_stored_holds_its_fill_value(tmp_path):
    zarr.create_array(
        tmp_path / "a.zarr", shape=(3, 8, 8), chunks=(2, 8, 8), dtype="u1", fill_value=7
    )
    assert (ingest(tmp_path / "w", tmp_path / "a.zarr") == 7).all()


# --- arrays that are stored column by column


@pytest.mark.parametrize("piece_bytes", [1, 7, 24, 2**20])
@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 2, 3, 3), (1, 4, 5, 3), (1, 1, 1)])
@pytest.mark.parametrize("kind", ["u1", "<f4", ">f8"])
def test_rows_of_columns_are_the_rows_of_the_array(
    monkeypatch, piece_bytes, shape, kind
):
    monkeypatch.setattr(fortran_rows, "_PIECE_BYTES", piece_bytes)
    array = RANDOM.integers(0, 256, shape).astype(kind)
    stream = BytesIO(b"head" + array.tobytes("F") + b"tail")
    rows = fortran_rows.ColumnRows(stream, 4, shape, array.dtype)
    for start in range(shape[0]):
        for stop in range(start + 1, shape[0] + 1):
            assert np.array_equal(rows.read(start, stop), array[start:stop])


@pytest.mark.parametrize("piece_bytes", [7, 2**20])
def test_columns_that_are_cut_short_are_told(monkeypatch, piece_bytes):
    monkeypatch.setattr(fortran_rows, "_PIECE_BYTES", piece_bytes)
    stream = BytesIO(bytes(6 * 20 - 1))
    rows = fortran_rows.ColumnRows(stream, 0, (6, 4, 5), np.dtype("u1"))
    with pytest.raises(EOFError, match="cut short"):
        rows.read(0, 1)


@pytest.mark.parametrize("write", [np.save, np.savez, np.savez_compressed])
def test_an_array_in_fortran_order_is_the_same_store(tmp_path, write):
    suffix = ".npy" if write is np.save else ".npz"
    many = RANDOM.integers(0, 256, (300, 8, 8, 3)).astype("u1")
    for name, array in (("c", many), ("f", np.asfortranarray(many))):
        write(tmp_path / f"{name}{suffix}", array)
    stored = [
        ingest(tmp_path / name, tmp_path / f"{name}{suffix}") for name in ("c", "f")
    ]
    assert np.array_equal(*stored)
    assert np.array_equal(stored[0], many)


def test_an_altered_byte_in_an_archive_is_noticed_in_fortran_order_too(tmp_path):
    path = tmp_path / "f.npz"
    np.savez(path, np.asfortranarray(pictures(20)))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="CRC"):
        ingest(tmp_path / "work", path)


def test_an_array_in_fortran_order_that_would_be_read_too_often_is_refused(tmp_path):
    path = tmp_path / "f.npy"
    said = "{'descr': '|u1', 'fortran_order': True, 'shape': (400000, 64, 64), }"
    path.write_bytes(npy_of(said, b""))
    with pytest.raises(DataError, match="column by column and holds 1638400000 bytes"):
        ingest(tmp_path / "work", path)


# --- named axes

# Of an array of five greys of 8 x 8, of pictures with channels, and of one picture.
NAMED = {
    ("n", "y", "x"): True,
    ("time", "lat", "lon"): True,
    ("p", "q", "r"): True,
    ("band", "y", "x"): False,
    ("c", "y", "x"): False,
    ("n", "x", "y"): False,
    ("y", "x", "time"): False,
    ("y", "x", "band"): True,
    ("n", "y", "x", "channel"): True,
    ("n", "c", "y", "x"): False,
}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("axes", NAMED)
def test_axes_that_a_store_names_are_those_of_pictures_or_it_is_refused(
    tmp_path, version, axes
):
    xarray = pytest.importorskip("xarray", reason="it writes them")
    last = () if axes[-1] not in {"band", "channel", "time"} else (3,)
    array = RANDOM.integers(0, 256, (8,) * (len(axes) - len(last)) + last, "u1")
    path = tmp_path / "a.zarr"
    xarray.Dataset({"data": (axes, array)}).to_zarr(
        path, zarr_format=version, consolidated=False
    )
    if not NAMED[axes]:
        with pytest.raises(DataError, match=f"names its axes {', '.join(axes)}"):
            ingest(tmp_path / "w", path)
        return
    shown = ingest(tmp_path / "w", path)
    right = array[None] if axes[0] == "y" else array
    right = right if right.ndim == 4 else np.repeat(right[..., None], 3, -1)
    np.testing.assert_array_equal(shown, right)


def ome(axes, paths, version):
    """Return attributes of an OME-Zarr image, as its specification has them."""
    kinds = {"t": "time", "c": "channel", "marker": "channel"}
    named = [{"name": one, "type": kinds.get(one, "space")} for one in axes]
    image = {
        "axes": list(axes) if version == "0.3" else named,
        "datasets": [{"path": path} for path in paths],
        "version": version,
    }
    if version == "0.5":
        return {"ome": {"version": version, "multiscales": [image]}}
    return {"multiscales": [{"datasets": [{"path": "other"}]}, image]}


def ome_store(path, array, axes, version, *, image="", at="0"):
    root = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    group = root.require_group(image) if image else root
    group.attrs.update(ome(axes, [at], version))
    group.create_array(at, data=array, chunks=array.shape)
    return path


OME = {
    ("c", "y", "x"): False,
    ("marker", "y", "x"): False,
    ("t", "x", "y"): False,
    ("y", "x", "t"): False,
    ("z", "y", "x"): True,
    ("t", "y", "x"): True,
    ("t", "c", "y", "x"): False,
    ("t", "y", "x", "c"): True,
}


@pytest.mark.parametrize("version", ["0.3", "0.4", "0.5"])
@pytest.mark.parametrize("axes", OME)
def test_axes_that_a_group_names_are_those_of_pictures_or_it_is_refused(
    tmp_path, version, axes
):
    if version == "0.3" and "marker" in axes:
        return  # it does not say what kind an axis is
    array = RANDOM.integers(0, 256, (8, 8, 8, 3)[: len(axes)], "u1")
    image = "A/1/0" if version == "0.5" else ""  # of a plate
    at = "scale0/image" if version == "0.4" else "0"
    path = ome_store(tmp_path / "a.zarr", array, axes, version, image=image, at=at)
    # The same array, however the user came to it.
    ways = {
        "store": (path, {}),
        "named": (path, {"array": f"{image}/{at}".lstrip("/")}),
        "array": (path / image / at, {}),
    }
    (tmp_path / "link.zarr").symlink_to(path / image / at)
    ways["link"] = (tmp_path / "link.zarr", {})
    if OME[axes]:
        shown = ingest(tmp_path / "w", path)
        right = array if array.ndim == 4 else np.repeat(array[..., None], 3, -1)
        np.testing.assert_array_equal(shown, right)
        return
    for way, (source, options) in ways.items():
        with pytest.raises(DataError, match="names its axes") as caught:
            ingest(tmp_path / way, source, **options)
        said = axes
        if version != "0.3":
            said = ["channel" if one in {"c", "marker"} else one for one in axes]
        assert f"names its axes {', '.join(said)}, expected" in str(caught.value)


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        # The last would be taken for columns, or the rows for pictures.
        (("y", "x", "c"), (8, 8, 9)),
        # One picture by its shape, five of three columns by its names.
        (("t", "y", "x"), (5, 8, 3)),
        (("c", "", ""), (8, 8, 8)),
        (("y", "x"), (8, 8, 8)),
    ],
)
def test_axes_are_held_against_the_shape_too(tmp_path, axes, shape):
    array = RANDOM.integers(0, 256, shape, "u1")
    path = ome_store(tmp_path / "a.zarr", array, axes, "0.4")
    with pytest.raises(DataError, match="names its axes"):
        ingest(tmp_path / "w", path)


@pytest.mark.parametrize(
    "attributes",
    [
        {"multiscales": {"layout": []}},
        {"multiscales": [{"datasets": [{"path": "1"}, {}], "axes": ["c", "y", "x"]}]},
        {"multiscales": [{"datasets": [{"path": "0"}], "type": "reduce"}]},
        {"ome": "0.5", "multiscales": None},
    ],
)
def test_a_group_that_says_nothing_of_its_axes_changes_nothing(tmp_path, attributes):
    array = RANDOM.integers(0, 256, (8, 8, 8), "u1")
    path = ome_store(tmp_path / "a.zarr", array, (), "0.5")
    zarr.open_group(path, mode="r+").attrs.put(attributes)
    assert len(ingest(tmp_path / "w", path)) == 8


def test_axes_of_a_group_that_have_no_names_are_refused(tmp_path):
    path = ome_store(tmp_path / "a.zarr", np.zeros((8, 8, 8), "u1"), (), "0.4")
    said = {"multiscales": [{"datasets": [{"path": "0"}], "axes": [{"type": "x"}]}]}
    zarr.open_group(path, mode="r+").attrs.put(said)
    with pytest.raises(DataError, match="names an axis"):
        ingest(tmp_path / "w", path)

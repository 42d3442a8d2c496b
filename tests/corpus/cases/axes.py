"""Zarr arrays whose axes have names: of their own, or of the groups above them.

The names say which axis holds what; the shape says what would be made of it without them.
"""

from __future__ import annotations

import json

import numpy as np

from tests.corpus import zarrs
from tests.corpus.cases.arrays import rows_of
from tests.corpus.cases.case import NOT_TRIED, Case, Right
from tests.corpus.cases.zarrs import NONE

KNOWN = "the array itself; its axes are named in the store"
REFUSED = Right(rows=None, reason="names its axes")
RANDOM = np.random.default_rng(23)
SIDE = 16
PLANES = RANDOM.integers(0, 256, (4, SIDE, SIDE), "u1")
CUBE = RANDOM.integers(0, 256, (SIDE, SIDE, SIDE), "u1")
ONE = RANDOM.integers(0, 256, (SIDE, SIDE, 3), "u1")
MANY = RANDOM.integers(0, 256, (2, SIDE, SIDE, 3), "u1")

# The names, the array, and whether they are those of pictures.
OWN = (
    (("n", "y", "x"), PLANES, True),
    (("time", "lat", "lon"), PLANES, True),
    (("sample", "row", "column"), PLANES, True),
    (("N", "Y", "X"), PLANES, True),
    (("z", "height", "width"), PLANES, True),
    (("p", "q", "r"), PLANES, True),
    (("wavelength", "y", "x"), PLANES, True),
    (("y", "x", "band"), ONE, True),
    (("row", "col", "rgb"), ONE, True),
    (("n", "y", "x", "channel"), MANY, True),
    (("band", "y", "x"), PLANES, False),
    (("c", "y", "x"), PLANES, False),
    (("Channel", "Y", "X"), PLANES, False),
    (("n", "x", "y"), CUBE, False),
    (("time", "lon", "lat"), CUBE, False),
    (("y", "x", "time"), CUBE, False),
    (("y", "x", "time"), ONE, False),
    (("x", "y", "c"), ONE, False),
    (("n", "x", "y", "c"), MANY, False),
    (("n", "c", "y", "x"), MANY, False),
    (("n", "y", "x", "time"), MANY, False),
)
OME = (
    (("z", "y", "x"), PLANES, True),
    (("t", "y", "x"), PLANES, True),
    (("t", "y", "x", "c"), MANY, True),
    (("c", "y", "x"), PLANES, False),
    (("t", "x", "y"), CUBE, False),
    (("y", "x", "t"), CUBE, False),
    (("t", "c", "y", "x"), MANY, False),
)


def _case(name, make, right, before=NOT_TRIED, **options):
    def made(folder):
        make(folder / "a.zarr")
        return folder / "a.zarr"

    return Case(
        group="Zarr, named axes", name=name, make=made, right=right, known=KNOWN,
        before=before, options=options,
    )  # fmt: skip


def _right(array, are_pictures):
    if not are_pictures:
        return REFUSED
    return Right(rows=rows_of(array[None] if array is ONE else array))


def _own():
    for axes, array, are_pictures in OWN:
        shape = " x ".join(map(str, array.shape))
        words = {"_ARRAY_DIMENSIONS": list(axes)}
        before = "grey pictures" if axes == ("band", "y", "x") else NOT_TRIED
        for version, make in (
            (2, lambda path, a=array, w=words: zarrs.zarr_2(path, a, attributes=w)),
            (3, lambda path, a=array, n=axes: zarrs.zarr_3(path, a, said={"dimension_names": list(n)})),
        ):  # fmt: skip
            name = f"{version}, {', '.join(axes)} ({shape})"
            yield _case(name, make, _right(array, are_pictures), before)
    for names, right in (
        ([None, "y", "x"], Right(rows=rows_of(PLANES))),
        (["c", None, None], REFUSED),
    ):
        yield _case(
            f"3, names of some axes alone: {names}",
            lambda path, n=names: zarrs.zarr_3(
                path, PLANES, said={"dimension_names": n}
            ),
            right,
        )


def _multiscales(axes, paths, version):
    """Return attributes of an image as OME-Zarr has them, of version 0.2 to 0.5."""
    kinds = {"t": "time", "c": "channel", "marker": "channel"}
    listed = [{"name": one, "type": kinds.get(one, "space")} for one in axes]
    image = {
        "version": version,
        "axes": list(axes) if version == "0.3" else listed,
        "datasets": [{"path": path} for path in paths],
    }
    if version == "0.2":
        del image["axes"]
    if version == "0.5":
        return {"ome": {"version": version, "multiscales": [image]}}
    return {"multiscales": [image]}


def _group(path, arrays, attributes, version):
    """Write a group of arrays that has attributes."""
    if version == "0.5":
        zarrs.group_3(path, arrays)
        document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        (path / "zarr.json").write_text(json.dumps(document))
    else:
        zarrs.group_2(path, arrays, separator="/")
        (path / ".zattrs").write_text(json.dumps(attributes))


def _nested(path, arrays, attributes, version):
    """Write an image three groups deep, as a well of a plate holds it."""
    path.mkdir()
    for at in (path, path / "A", path / "A/1"):
        at.mkdir(exist_ok=True)
        if version == "0.5":
            document = {"zarr_format": 3, "node_type": "group", "attributes": {}}
            (at / "zarr.json").write_text(json.dumps(document))
        else:
            (at / ".zgroup").write_text('{"zarr_format": 2}')
    _group(path / "A/1/0", arrays, attributes, version)


def _of_groups():
    for version in ("0.3", "0.4", "0.5"):
        for axes, array, are_pictures in OME:
            words = _multiscales(axes, ["0"], version)
            before = "grey pictures" if axes == ("c", "y", "x") else NOT_TRIED
            for place, write in (("", _group), (", of a plate", _nested)):
                yield _case(
                    f"OME-Zarr {version}{place}, {', '.join(axes)} ({array.shape[0]} first)",
                    lambda path, a=array, w=words, v=version, f=write: f(path, {"0": a}, w, v),
                    _right(array, are_pictures),
                    before,
                )  # fmt: skip
    words = _multiscales(("marker", "y", "x"), ["0"], "0.4")
    yield _case(
        "OME-Zarr 0.4, an axis of channels by another name",
        lambda path: _group(path, {"0": PLANES}, words, "0.4"),
        REFUSED,
    )
    for axes, are_pictures in ((("z", "y", "x"), True), (("c", "y", "x"), False)):
        levels = {"0": PLANES, "1": PLANES[:, ::2, ::2]}
        said = _multiscales(axes, levels, "0.4")
        yield _case(
            f"OME-Zarr 0.4, two levels, --array 0, {', '.join(axes)}",
            lambda path, w=said, a=levels: _group(path, a, w, "0.4"),
            _right(PLANES, are_pictures),
            array="0",
        )
        yield _case(
            f"OME-Zarr 0.4, two levels and none chosen, {', '.join(axes)}",
            lambda path, w=said, a=levels: _group(path, a, w, "0.4"),
            Right(rows=None, reason="--array"),
        )
    five = RANDOM.integers(0, 256, (2, 3, 4, SIDE, SIDE), "u1")
    for version in ("0.2", "0.4"):
        said = _multiscales(("t", "c", "z", "y", "x"), ["0"], version)
        yield _case(
            f"OME-Zarr {version}, five axes",
            lambda path, w=said, v=version: _group(path, {"0": five}, w, v),
            NONE,
        )
    other = _multiscales(("c", "y", "x"), ["1"], "0.4")
    yield _case(
        "OME-Zarr 0.4, axes of another array",
        lambda path: _group(path, {"0": PLANES}, other, "0.4"),
        Right(rows=rows_of(PLANES)),
    )
    both = _multiscales(("z", "y", "x"), ["0"], "0.4")
    yield _case(
        "OME-Zarr 0.4, the array has other names than its group",
        lambda path: _disagreeing(path, both),
        REFUSED,
    )


def _disagreeing(path, attributes):
    _group(path, {"0": PLANES}, attributes, "0.4")
    names = {"_ARRAY_DIMENSIONS": ["c", "y", "x"]}
    (path / "0/.zattrs").write_text(json.dumps(names))


CASES = (*_own(), *_of_groups())

"""Arrays of every type and shape through every kind of file, and files that lie."""

from __future__ import annotations

import numpy as np
import zarr

from tests.corpus import zarrs
from tests.corpus.archives import zip_file
from tests.corpus.cases.case import SIDE, UNIT, Case, Right, Row, coloured
from tests.corpus.npy import member, npy, npz

KNOWN = "the array itself, written by our own hand"
RULE = "refused (docs/inputs.md)"
RANDOM = np.random.default_rng(17)
RGBS = RANDOM.integers(1, 256, (3, SIDE, SIDE, 3)).astype("u1")
GREYS = RGBS[..., 0]
ALPHA = np.where(RGBS[..., :1] % 3 == 0, 0, 255).astype("u1")
UNITS = np.stack([np.roll(UNIT, n)[..., None].repeat(3, -1) for n in range(3)])


def rows_of(pixels, allowed=0.01):
    """Return rows of any name."""
    return tuple(
        Row(name=None, pixels=coloured(one), allowed=allowed) for one in pixels
    )


# --- what may be in an array: the array, and what it shows (None: refused)

TAKEN = {
    "grey": (GREYS, GREYS),
    "grey, one channel": (GREYS[..., None], GREYS),
    "RGB": (RGBS, RGBS),
    "RGB with alpha of 255": (np.concatenate([RGBS, ALPHA * 0 + 255], -1), RGBS),
    "RGB with alpha of 0 or 255": (
        np.concatenate([RGBS, ALPHA], -1),
        np.where(ALPHA == 0, 255, RGBS),
    ),
    "one picture, RGB": (RGBS[0], RGBS[:1]),
    "one picture, one channel": (GREYS[0][..., None], GREYS[:1]),
    "floats of 16 bits": ((UNITS).astype("f2"), UNITS.astype("f2").astype(float) * 255),
    "floats of 32 bits": (UNITS.astype("f4"), UNITS * 255),
    "floats of 64 bits": (UNITS, UNITS * 255),
    "floats of 32 bits, big-endian": (UNITS.astype(">f4"), UNITS * 255),
    "floats of 64 bits, big-endian, grey": (UNITS[..., 0].astype(">f8"), UNITS * 255),
    "minus zero": (np.full((2, SIDE, SIDE), -0.0), np.zeros((2, SIDE, SIDE))),
    "the smallest of floats": (
        np.full((2, SIDE, SIDE), 5e-324),
        np.zeros((2, SIDE, SIDE)),
    ),
    "exactly half": (
        np.full((2, SIDE, SIDE), 0.5, "f4"),
        np.full((2, SIDE, SIDE), 127.5),
    ),
}
TITLES = {
    "integers of 8 bits, signed": "i1",
    "integers of 16 bits": "u2",
    "integers of 16 bits, big-endian": ">u2",
    "integers of 64 bits": "i8",
    "complex numbers": "c8",
}
REFUSED = {
    **{name: RGBS.astype(kind) for name, kind in TITLES.items()},
    "truth values": GREYS > 99,
    "floats up to 255": RGBS.astype("f4"),
    "floats just above 1": np.full(
        (2, SIDE, SIDE), np.nextafter(np.float32(1), np.float32(2))
    ),
    "floats just below 0": np.full((2, SIDE, SIDE), -1e-30),
    "not a number, in the last row": np.concatenate(
        [UNITS[..., 0][:2], np.full((1, SIDE, SIDE), np.nan)]
    ),
    "infinity": np.full((2, SIDE, SIDE), np.inf),
    "channels before the rows": RGBS.transpose(0, 3, 1, 2),
    "two channels": RGBS[..., :2],
    "five channels": np.concatenate([RGBS, RGBS[..., :2]], -1),
    "one row of numbers": RGBS.ravel()[:99],
    "height and width alone": GREYS[0],
    "five axes": RGBS[None],
    "no picture": RGBS[:0],
    "no column": RGBS[:, :, :0],
}
BEFORE = {
    "one picture, RGB": "64 pictures", "integers of 64 bits": "refused", "truth values": "refused",
    "channels before the rows": "refused",
}  # fmt: skip


def _bytes(suffix, write):
    def make(folder, array):
        path = folder / f"a{suffix}"
        path.write_bytes(write(array))
        return path

    return make


def _by_zarr(version, **options):
    def make(folder, array):
        side = tuple(max(1, n) for n in array.shape)
        chunks = (min(2, side[0]), *side[1:])
        made = {
            "chunks": chunks,
            **{
                name: tuple(f * n for f, n in zip(factors, chunks, strict=False))
                for name, factors in options.items()
            },
        }
        group = zarr.open_group(folder / "a.zarr", mode="w", zarr_format=version)
        group.create_array("images", data=array, **made)
        return folder / "a.zarr"

    return make


WRITERS = {
    "npy": _bytes(".npy", npy),
    "npy 2.0": _bytes(".npy", lambda array: npy(array, version=(2, 0))),
    "npy, Fortran order": _bytes(".npy", lambda array: npy(array, order="F")),
    "npz, Fortran order, compressed": _bytes(
        ".npz",
        lambda array: zip_file(
            [member("images.npy", npy(array, order="F"), is_packed=True)]
        ),
    ),
    "npz": _bytes(".npz", lambda array: npz({"labels": np.arange(3), "images": array})),
    "npz, compressed": _bytes(
        ".npz", lambda array: npz({"arr_0": array}, is_packed=True)
    ),
    "Zarr 2": lambda folder, array: zarrs.zarr_2(
        folder / "a.zarr", array, chunks=_side(array)
    ),
    "Zarr 2, Fortran order, zlib": lambda folder, array: zarrs.group_2(
        folder / "a.zarr",
        {"images": array},
        order="F",
        packing="zlib",
        chunks=_side(array),
    ),
    "Zarr 3": lambda folder, array: zarrs.zarr_3(
        folder / "a.zarr", array, chunks=_side(array)
    ),
    "Zarr 3, sharded": lambda folder, array: zarrs.zarr_3(
        folder / "a.zarr",
        array,
        chunks=_side(array),
        shard=(2 * _side(array)[0], *_side(array)[1:]),
        codecs=("bytes", "gzip"),
    ),
    "Zarr 2 of zarr-python": _by_zarr(2),
    "Zarr 3 of zarr-python": _by_zarr(3),
}


def _side(array):
    return (2, *(max(1, n) for n in array.shape[1:])) if array.ndim > 1 else (2,)


def _crossed():
    for writer, make in WRITERS.items():
        for name, (array, shown) in TAKEN.items():
            allowed = 0.01 if array.dtype == np.uint8 else 0.52
            yield _case(
                writer,
                name,
                make,
                array,
                Right(rows=rows_of(shown, allowed), labels=None),
                KNOWN,
                allowed,
            )
        for name, array in REFUSED.items():
            if (
                array.dtype.kind == "c"
                and writer.startswith("Zarr")
                and "python" not in writer
            ):
                continue
            yield _case(writer, name, make, array, Right(rows=None, reason="."), RULE)


def _case(writer, name, make, array, right, known, _allowed=0):
    return Case(
        group=f"array: {writer}", name=name, make=lambda folder: make(folder, array),
        right=right, known=known, before=BEFORE.get(name, "not tried"),
    )  # fmt: skip


CASES = tuple(_crossed())

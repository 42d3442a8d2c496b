"""Files of arrays that are odd or lie, and files of several arrays."""

from __future__ import annotations

import numpy as np

from tests.corpus import zarrs
from tests.corpus.archives import zip_file
from tests.corpus.cases.arrays import GREYS, KNOWN, RANDOM, RGBS, UNITS, rows_of
from tests.corpus.cases.case import SIDE, Case, Right
from tests.corpus.npy import npy, npy_of, npz


def _file(name, suffix, data, right, known=KNOWN, **more):
    def make(folder):
        path = folder / f"a{suffix}"
        path.write_bytes(data)
        return path

    return Case(
        group="array: lying or odd",
        name=name,
        make=make,
        right=right,
        known=known,
        **more,
    )


def _odd():
    right, none = Right(rows=rows_of(RGBS)), Right(rows=None, reason=".")
    header = "{'descr': %s, 'fortran_order': False, 'shape': %s, }"
    data = RGBS.tobytes()
    for spelled in ("|u1", "<u1", ">u1", "=u1", "u1", "uint8", "B"):
        yield _file(
            f"npy, type spelled {spelled}", ".npy", npy(RGBS, descr=spelled), right
        )
    yield _file(
        "npy 3.0",
        ".npy",
        npy(RGBS, version=(3, 0)),
        Right(rows=rows_of(RGBS)),
        known="3.0 differs in the names of fields alone",
    )
    yield _file(
        "npy in Fortran order", ".npy", npy(RGBS, order="F"), right, before="refused"
    )
    yield _file("npz in Fortran order", ".npz", _with(npy(RGBS, order="F")), right)
    yield _file(
        "npy in Fortran order, floats",
        ".npy",
        npy(UNITS, order="F"),
        Right(rows=rows_of(UNITS * 255, 0.52)),
    )
    yield _file(
        "npy, cut short",
        ".npy",
        npy(RGBS)[:-100],
        none,
        known="the last row is not whole",
    )
    yield _file(
        "npy, one byte missing",
        ".npy",
        npy(RGBS)[:-1],
        none,
        known="the last row is not whole",
    )
    yield _file(
        "npy, header alone", ".npy", npy(RGBS)[:128], none, known="no row is there"
    )
    yield _file(
        "npy, cut in its header", ".npy", npy(RGBS)[:40], none, known="no row is there"
    )
    yield _file("npy of no bytes", ".npy", b"", none, known="no array")
    yield _file(
        "npy, bytes behind it",
        ".npy",
        npy(RGBS) + bytes(999),
        right,
        known=KNOWN + "; numpy.load reads it",
    )
    yield _file(
        "npy, two arrays one after the other",
        ".npy",
        npy(RGBS) + npy(RGBS),
        right,
        known="numpy.load reads the first one",
    )
    for said, how in (
        ("(99, 16, 16, 3)", "more rows"),
        ("(2, 16, 16, 3)", "fewer rows"),
        ("(-3, 16, 16, 3)", "-3 rows"),
        (f"({2**62}, 16, 16, 3)", "2^62 rows"),
        ("(3, 16, 16, 3.0)", "3.0 channels"),
        ("(True, 16, 16, 3)", "True rows"),
        ("[3, 16, 16, 3]", "a list of lengths"),
        ("(3, 1048576, 1048576)", "2^40 pixels a row"),
    ):
        head = header % ("'|u1'", said)
        n_read = {"(2": 2, "(T": 1}.get(said[:2])
        expected = none if n_read is None else Right(rows=rows_of(RGBS[:n_read]))
        known = "the header lies" if n_read is None else f"numpy.load reads {n_read}"
        yield _file(
            f"npy that says {how}", ".npy", npy_of(head, data), expected, known=known
        )
    for text, how in (
        ("{'descr': '|u1'", "no end of its header"),
        ("[]" * 20000, "a header of lists"),
        ("(" * 3000, "3000 brackets"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (3, 16, 16), }", "objects"),
        (
            "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (3, 16, 16), }",
            "fields",
        ),
        (
            "{'descr': '|V1', 'fortran_order': False, 'shape': (3, 16, 16), }",
            "bytes of no type",
        ),
        (
            "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (3, 16, 16), }",
            "times",
        ),
        ("{'descr': '|S1', 'fortran_order': False, 'shape': (3, 16, 16), }", "letters"),
        ("__import__('os')", "a call"),
    ):
        yield _file(
            f"npy of {how}",
            ".npy",
            npy_of(text, data * 4),
            none,
            known="no numbers that are pictures; nothing is unpickled or run",
        )
    yield _file(
        "npy that is a PNG",
        ".npy",
        b"\x89PNG\r\n\x1a\n" + bytes(99),
        none,
        known="not NumPy's format",
    )
    yield _file("npz that is a tar", ".npz", bytes(10240), none, known="no zip")
    yield _file(
        "npz, cut short",
        ".npz",
        npz({"images": RGBS})[:-30],
        none,
        known="its directory is not whole",
    )
    damaged = bytearray(npz({"images": RGBS}))
    damaged[1500] ^= 1
    yield _file(
        "npz, one bit altered", ".npz", bytes(damaged), none, known="its CRC-32 tells"
    )
    late = bytearray(
        npz({"images": RANDOM.integers(0, 256, (40, SIDE, SIDE, 3)).astype("u1")})
    )
    late[-2000] ^= 1
    yield _file(
        "npz, one bit of the last row altered",
        ".npz",
        bytes(late),
        none,
        known="its CRC-32 tells",
    )


def _with(data):
    return zip_file([{"name": b"images.npy", "data": data}])


# --- which one of several

MORE = RANDOM.integers(1, 256, (5, SIDE, SIDE, 3)).astype("u1")
NUMBERS = np.arange(5)
CHOICES = {
    "x_test before x_train": (
        {"x_test": RGBS, "x_train": MORE},
        None,
        "x_test was taken",
    ),
    "x_train before x_test": (
        {"x_train": MORE, "x_test": RGBS},
        None,
        "the first was taken",
    ),
    "masks before photos": ({"masks": GREYS, "photos": MORE}, None, "masks were taken"),
    "a mean before photos": (
        {"images_mean": RGBS, "photos": MORE},
        None,
        "the mean was taken",
    ),
    "images among others": ({"a": RGBS, "images": MORE, "z": RGBS}, "images", "right"),
    "numbers before photos": ({"labels": NUMBERS, "photos": MORE}, "photos", "right"),
    "words and one of pictures": (
        {"classes": np.array(["cat", "dog"]), "photos": MORE},
        "photos",
        "not tried",
    ),
    "integers that could be pictures but for their type": (
        {"depth": GREYS.astype("u2"), "photos": MORE},
        "photos",
        "not tried",
    ),
    "floats of pictures beside bytes": (
        {"heat": UNITS, "photos": MORE},
        None,
        "not tried",
    ),
    "numbers alone": ({"x": NUMBERS, "y": NUMBERS}, None, "refused"),
    "Images, with a capital": ({"Images": RGBS, "photos": MORE}, None, "not tried"),
}


def _choices():
    for name, (arrays, taken, before) in CHOICES.items():
        for kind in ("npz", "Zarr 2", "Zarr 3"):
            if kind != "npz" and any(one.dtype.kind == "U" for one in arrays.values()):
                continue
            right = (
                Right(rows=None, reason="--array")
                if taken is None
                else Right(rows=rows_of(arrays[taken]))
            )
            yield _choice(f"{name}, {kind}", kind, arrays, right, before)
    for wanted, rows in (("x_test", RGBS), ("x_train", MORE)):
        for kind in ("npz", "Zarr 2", "Zarr 3"):
            arrays = {"x_test": RGBS, "x_train": MORE}
            yield _choice(
                f"--array {wanted}, {kind}",
                kind,
                arrays,
                Right(rows=rows_of(rows)),
                "no such option",
                array=wanted,
            )
    yield _choice(
        "--array of a name that is not there",
        "npz",
        {"a": RGBS},
        Right(rows=None, reason="no array"),
        "no such option",
        array="b",
    )


def _choice(name, kind, arrays, right, before, **options):
    def make(folder):
        if kind == "npz":
            (folder / "a.npz").write_bytes(npz(arrays))
            return folder / "a.npz"
        write = zarrs.group_2 if kind == "Zarr 2" else zarrs.group_3
        return write(folder / "a.zarr", arrays, chunks=None)

    return Case(
        group="several arrays",
        name=name,
        make=make,
        right=right,
        known="the arrays themselves; their order says nothing",
        before=before,
        options=options,
    )


CASES = (*_odd(), *_choices())

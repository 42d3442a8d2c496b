"""NumPy's own format, written from its description (NEP 1), and archives of it."""

from __future__ import annotations

import struct
import zlib

from tests.corpus.archives import zip_file


def npy(array, *, version=(1, 0), descr=None, shape=None, order=None):
    """Return a file of an array; what its header says may be another."""
    is_fortran = order == "F"
    said = {
        "descr": array.dtype.str if descr is None else descr,
        "fortran_order": is_fortran,
        "shape": array.shape if shape is None else shape,
    }
    return npy_of(repr(said), array.tobytes("F" if is_fortran else "C"), version)


def npy_of(header, data, version=(1, 0)):
    """Return a file of a header's text and of bytes."""
    form = "<H" if version == (1, 0) else "<I"
    encoded = header.encode("latin-1" if version < (3, 0) else "utf-8")
    start = 8 + struct.calcsize(form)
    encoded += b" " * (-(start + len(encoded) + 1) % 64) + b"\n"
    mark = b"\x93NUMPY" + bytes(version)
    return mark + struct.pack(form, len(encoded)) + encoded + data


def npz(arrays, *, is_packed=False, before=()):
    """Return an archive of arrays by their names; ``before`` of other members."""
    members = [
        *before,
        *((f"{name}.npy", npy(array)) for name, array in arrays.items()),
    ]
    return zip_file([member(name, data, is_packed=is_packed) for name, data in members])


def member(name, data, *, is_packed=False):
    """Return a member of an archive, for `zip_file`."""
    if not is_packed:
        return {"name": name.encode(), "data": data}
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = packed.compress(data) + packed.flush()
    return {"name": name.encode(), "data": data, "packed": body, "method": 8}

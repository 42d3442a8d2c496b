"""The header of a .npy file, read within bounds: no NumPy.

References
----------
NumPy Enhancement Proposal 1: magic string, version, length of the header in two bytes
(version 1) or four, and a Python literal, from version 3 on in UTF-8.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from io import BufferedIOBase, RawIOBase
    from typing import IO

_MAGIC = b"\x93NUMPY"
_START = len(_MAGIC) + 2
# From this version on names of fields are in UTF-8.
_WITH_UTF8 = 3
# NumPy writes some hundred bytes; one of ten thousand it refuses.
_MOST_BYTES = 10_000
# Records within records are nested deeper than any array of images or vectors; beyond
# some thousands the interpreter's own parser is not to be trusted with it.
_MOST_LEVELS = 16
_MOST_SIGNS = 64
# NumPy counts rows in 64 bits, one of them for the sign.
_MOST_SIDE = 2**63


class NoHeaderError(ValueError):
    """Raised when a file does not begin as NumPy's do; it never leaves its reader."""


def read_header(stream: IO[bytes] | BufferedIOBase | RawIOBase) -> bytes:
    """Return magic string, version, length and header, and leave the stream behind them.

    Raises
    ------
    NoHeaderError
        If the stream begins otherwise, is cut short, states a length that no header has
        (then no more than some bytes were read), or nests more than any.
    """
    start = stream.read(_START) or b""
    if len(start) < _START or not start.startswith(_MAGIC):
        raise NoHeaderError("it does not begin as a .npy file does")
    width = 2 if start[6] == 1 else 4
    length = stream.read(width) or b""
    n_bytes = int.from_bytes(length, "little")
    if n_bytes > _MOST_BYTES:
        raise NoHeaderError(f"its header is said to have {n_bytes} bytes")
    header = stream.read(n_bytes) or b""
    if len(length) < width or len(header) < n_bytes:
        raise NoHeaderError("its header is cut short")
    if _is_tangled(header):
        raise NoHeaderError("its header is nested as none is")
    return start + length + header


def _is_tangled(header: bytes) -> bool:
    level = 0
    for byte in header:
        level += (byte in b"([{") - (byte in b")]}")
        if level > _MOST_LEVELS:
            return True
    return sum(map(header.count, (b"-", b"+", b"~"))) > _MOST_SIGNS


class HeaderFields(NamedTuple):
    """What a header says of its array.

    Attributes
    ----------
    descr
        Its type, such as ``"<f4"``; of records, and of what is none, the literal's text.
    """

    shape: tuple[int, ...]
    descr: str


def header_fields(header: bytes) -> HeaderFields:
    r"""Return what a whole header says, such as `read_header` returns.

    Raises
    ------
    NoHeaderError
        If it is no literal, or does not give a shape of whole numbers and a type.

    Examples
    --------
    >>> text = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}"
    >>> header_fields(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text)
    HeaderFields(shape=(2, 3), descr='<f4')
    """
    width = 2 if header[6] == 1 else 4
    letters = "latin1" if header[6] < _WITH_UTF8 else "utf8"
    try:
        text = header[_START + width :].decode(letters).strip()
        document = ast.literal_eval(text)
        shape, descr = document["shape"], document["descr"]
    except (ValueError, SyntaxError, LookupError, TypeError, MemoryError) as error:
        raise NoHeaderError(f"its header cannot be read: {error}") from error
    except RecursionError as error:
        raise NoHeaderError("its header is nested as none is") from error
    # A float may be infinite, and is no length; a truth value is none either.
    is_shape = type(shape) is tuple and all(
        type(side) is int and 0 <= side < _MOST_SIDE for side in shape
    )
    if not is_shape:
        raise NoHeaderError(f"its header gives the shape {shape!r:.60}")
    return HeaderFields(shape=shape, descr=str(descr))

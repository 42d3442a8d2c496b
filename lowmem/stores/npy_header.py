"""The header of a .npy file, read within bounds: no NumPy.

References
----------
NumPy Enhancement Proposal 1: magic string, version, length of the header in two bytes
(version 1) or four, and a Python literal, from version 3 on in UTF-8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def header_text(header: bytes) -> str:
    r"""Return the Python literal of a whole header, such as `read_header` returns.

    Examples
    --------
    >>> header_text(b"\x93NUMPY\x01\x00\x03\x00{} ")
    '{}'
    """
    width = 2 if header[6] == 1 else 4
    letters = "latin1" if header[6] < _WITH_UTF8 else "utf8"
    return header[_START + width :].decode(letters).strip()

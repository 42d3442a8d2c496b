"""PAM and SGI with alpha: Pillow reads their samples as those of one grey picture.

References
----------
Netpbm, "pam" (the PAM format); Haeberli, "The SGI Image File Format", 1.00.
"""

from __future__ import annotations

import struct
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image

from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    Opening = tuple[int, Callable[[], Image.Image]]

_MOST_HEAD_BYTES = 4096
_MOST_VALUE = 65535
# Depth and mode of each type of tuple whose samples have a meaning.
_KINDS = {
    "BLACKANDWHITE": (1, "L"),
    "GRAYSCALE": (1, "L"),
    "RGB": (3, "RGB"),
    "BLACKANDWHITE_ALPHA": (2, "LA"),
    "GRAYSCALE_ALPHA": (2, "LA"),
    "RGB_ALPHA": (4, "RGBA"),
}
# SGI: magic number, storage, bytes of a sample, axes, width, height, planes.
_SGI = struct.Struct(">H2B4H")


def open_pam(data: bytes) -> Opening:
    """Return pixels and a loader of a PAM.

    Raises
    ------
    UnreadableError
        If its header is not whole, or does not say what the samples are.
    """
    head, end, _ = data[:_MOST_HEAD_BYTES].partition(b"\nENDHDR\n")
    words: dict[str, str] = {}
    for line in head.decode("latin-1").splitlines()[1:]:
        name, _, value = line.strip().partition(" ")
        if not name.startswith("#"):
            words[name] = value.strip()
    names = ("WIDTH", "HEIGHT", "DEPTH", "MAXVAL")
    numbers = [
        int(word) if word.isdecimal() else 0 for word in map(words.get, names, [""] * 4)
    ]
    width, height, depth, white = numbers
    if not end or not width * height * depth or not 0 < white <= _MOST_VALUE:
        raise UnreadableError("PAM without a whole header")
    kind = words.get("TUPLTYPE", "")
    if kind not in _KINDS or _KINDS[kind][0] != depth:
        raise UnreadableError(
            f"PAM of {depth} samples of the type {kind or 'not said'}"
        )
    body = data[len(head) + len(end) :]
    if len(body) < width * height * depth * (2 if white > 255 else 1):  # noqa: PLR2004
        raise UnreadableError("PAM that is cut short")
    mode = _KINDS[kind][1]

    def load() -> Image.Image:
        # As a grey picture in which all samples of a pixel stand side by side.
        grey = b"P5 %d %d %d\n" % (width * depth, height, white)
        with Image.open(BytesIO(grey + body), formats=["PPM"]) as image:
            image.load()
            return Image.frombytes(mode, (width, height), _eight_bits(image))

    return width * height, load


def _eight_bits(image: Image.Image) -> bytes:
    if image.mode in {"1", "L"}:
        return image.convert("L").tobytes()
    # Where nothing but bytes is decoded, NumPy would be most of the memory.
    from lowmem_jobs.ingest.bit_depth import eight_bits  # noqa: PLC0415

    return eight_bits(image).tobytes()


def open_sgi_with_alpha(data: bytes) -> Opening | None:
    """Return pixels and a loader of an SGI of grey and alpha; None of any other."""
    if len(data) < _SGI.size:
        return None
    magic, storage, n_bytes, axes, width, height, planes = _SGI.unpack_from(data)
    if (axes, planes) != (3, 2) or not 0 < 2 * height <= _MOST_VALUE:
        return None

    def load() -> Image.Image:
        # As one plane of twice the height; rows stand from below, also in its table.
        head = _SGI.pack(magic, storage, n_bytes, 2, width, 2 * height, 1)
        with Image.open(BytesIO(head + data[_SGI.size :]), formats=["SGI"]) as both:
            alpha = both.crop((0, 0, width, height))
            grey = both.crop((0, height, width, 2 * height))
        return Image.merge("LA", (grey, alpha))

    return width * height, load

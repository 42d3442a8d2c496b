"""Pictures of Photoshop: what Pillow mistakes in them, and those of 16 bits.

The merged picture alone is read. Where layers left parts of it clear, Photoshop has laid
it over white already, and stores beside it how opaque it was.

References
----------
Adobe, Photoshop File Formats Specification (2019): file header, layer and mask
information, image data.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.ImageFile import ImageFile

_HEAD = struct.Struct(">4sH6xH2I2H")
_GREY, _RGB, _CMYK, _MULTICHANNEL, _DUOTONE = 1, 3, 4, 7, 8
_N_COLOURS = {_GREY: 1, _RGB: 3, _CMYK: 4, _DUOTONE: 1}
_DEEP = 16
_RAW, _PACKBITS = 0, 1
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
# Blocks beside the layers of which the layers of deep pictures are one.
_DEEP_LAYERS = b"Lr16"
_MOST_BLOCKS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Psd:
    """What a file says of its merged picture.

    Attributes
    ----------
    has_alpha
        Whether the first channel after the colours is how opaque they are; else it is a
        selection that somebody saved.
    compression, body
        How it is packed, and where it begins.
    """

    n_channels: int
    width: int
    height: int
    bits: int
    mode: int
    has_alpha: bool
    compression: int
    body: int


def mended_psd(image: ImageFile, data: bytes) -> Image.Image:
    """Return a PSD that Pillow opened, as it shows.

    Raises
    ------
    UnreadableError
        If it holds inks of which Pillow would show the first one alone.
    """
    head = _read_head(data)
    if head is None:
        return image
    if head.mode == _MULTICHANNEL and head.n_channels > 1:
        raise UnreadableError(f"PSD of {head.n_channels} inks (multichannel)")
    # 1 is black.
    is_inverted = image.mode == "1" and image.tile[0][3] == "1"
    if is_inverted:
        image.load()
        return ImageChops.invert(image)
    if image.mode != "RGBA":
        return image
    image.load()
    return _over_white(image, head)


def _over_white(image: Image.Image, head: _Psd) -> Image.Image:
    """Return a picture without its fourth channel, where that is not to be used.

    Over white, no colour is darker than its alpha lets it be. Where one is, the file is
    not by Photoshop, and its colours are still to be laid over white.
    """
    *colours, alpha = image.split()
    lightest = [ImageChops.add(colour, alpha).getextrema()[0] for colour in colours]
    is_done = all(value == 255 for value in lightest)  # noqa: PLR2004 - white
    return image if head.has_alpha and not is_done else image.convert("RGB")


def open_deep_psd(data: bytes) -> tuple[int, Callable[[], Image.Image]] | None:
    """Return pixels and a loader of a PSD of 16 bits; None of any other.

    Raises
    ------
    UnreadableError
        If it is packed otherwise than Photoshop packs merged pictures.
    """
    head = _read_head(data)
    if head is None or head.bits != _DEEP or head.mode not in _N_COLOURS:
        return None
    if head.n_channels < _N_COLOURS[head.mode] or not head.width * head.height:
        raise UnreadableError(f"PSD of {head.n_channels} channels, too few")
    if head.compression not in {_RAW, _PACKBITS}:
        raise UnreadableError(f"PSD of 16 bits, compression {head.compression}")
    return head.width * head.height, lambda: _load_deep(data, head)


def _load_deep(data: bytes, head: _Psd) -> Image.Image:
    # Where nothing but bytes is decoded, NumPy would be most of the memory.
    import numpy as np  # noqa: PLC0415

    from lowmem_jobs.ingest.bit_depth import bytes_from_samples  # noqa: PLC0415

    n = _N_COLOURS[head.mode]
    has_alpha = head.mode == _RGB and head.has_alpha and head.n_channels > n
    n += has_alpha
    rows = _bytes_of_rows(data, head, n)
    samples = np.frombuffer(rows, ">u2").reshape(n, head.height, head.width)
    # One plane at a time: what is held meanwhile is that of one.
    planes = [Image.fromarray(bytes_from_samples(plane, _DEEP)) for plane in samples]
    if has_alpha:
        return _over_white(Image.merge("RGBA", planes), head)
    if head.mode == _CMYK:
        # 0 is all of an ink.
        planes = [ImageChops.invert(plane) for plane in planes]
    return planes[0] if n == 1 else Image.merge(_MODES[n], planes)


def _bytes_of_rows(data: bytes, head: _Psd, n_planes: int) -> bytes:
    """Return the bytes of the first planes: as those of grey rows of twice the width."""
    size = (2 * head.width, n_planes * head.height)
    if head.compression == _RAW:
        body = data[head.body : head.body + size[0] * size[1]]
        if len(body) < size[0] * size[1]:
            raise UnreadableError("PSD that is cut short")
        return body
    # Before the rows of all channels their lengths.
    body = data[head.body + 2 * head.n_channels * head.height :]
    # Two bytes may stand for 128; of less nothing so large is made room for.
    if len(body) * 64 < size[0] * size[1]:
        raise UnreadableError("PSD that is cut short")
    return Image.frombytes("L", size, body, "packbits", "L").tobytes()


def _read_head(data: bytes) -> _Psd | None:
    """Return what a file says; None where it has no such header."""
    if len(data) < _HEAD.size:
        return None
    mark, version, n_channels, height, width, bits, mode = _HEAD.unpack_from(data)
    if mark != b"8BPS" or version != 1:
        return None
    resources = _after(data, _HEAD.size)
    layers = _after(data, resources)
    end = _after(data, layers)
    packing = data[end : end + 2]
    if len(packing) < 2:  # noqa: PLR2004 - bytes
        return None
    return _Psd(
        n_channels=n_channels,
        width=width,
        height=height,
        bits=bits,
        mode=mode,
        has_alpha=_n_layers(data[layers + 4 : end]) < 0,
        compression=int.from_bytes(packing, "big"),
        body=end + 2,
    )


def _after(data: bytes, at: int) -> int:
    """Return where a part ends that begins with its length."""
    return at + 4 + int.from_bytes(data[at : at + 4], "big")


def _n_layers(part: bytes) -> int:
    """Return the number of layers; below zero where the merged picture has alpha."""
    if int.from_bytes(part[:4], "big"):
        return int.from_bytes(part[4:6], "big", signed=True)
    at = _after(part, 4)
    for _ in range(_MOST_BLOCKS):
        if part[at + 4 : at + 8] == _DEEP_LAYERS:
            return int.from_bytes(part[at + 12 : at + 14], "big", signed=True)
        if part[at : at + 4] not in {b"8BIM", b"8B64"}:
            break
        # Their lengths are even, or multiples of four: both are seen.
        at = _next_block(part, _after(part, at + 8))
    return 0


def _next_block(part: bytes, at: int) -> int:
    marks = (part[at + more : at + more + 4] for more in range(4))
    found = (more for more, mark in enumerate(marks) if mark in {b"8BIM", b"8B64"})
    return at + next(found, 0)

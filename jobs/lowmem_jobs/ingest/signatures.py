"""Pictures that are not for Pillow, told by their first bytes.

Three kinds: those that another library reads, those that Pillow reads wrong, and camera
raw, of which Pillow takes the small preview for the picture. For all others this costs
the comparison of a few bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError

from lowmem_jobs.ingest.as_grey import open_pam, open_sgi_with_alpha
from lowmem_jobs.ingest.bmp import open_masked_bmp
from lowmem_jobs.ingest.extras import without_extra
from lowmem_jobs.ingest.icons import open_icon
from lowmem_jobs.ingest.jpeg2000 import head_of_jpeg2000, read_jpeg2000
from lowmem_jobs.ingest.jpegxl import orientation_of_jpegxl, size_of_jpegxl
from lowmem_jobs.ingest.psd import open_deep_psd
from lowmem_jobs.ingest.tiff_tags import read_heads
from lowmem_jobs.ingest.tiffs import is_right_with_pillow
from lowmem_jobs.ingest.unreadable import UnreadableError
from lowmem_jobs.ingest.upright import upright

_USUAL = (b"\xff\xd8", b"\x89PNG")
_TIFF = (b"II*\0", b"MM\0*", b"II\0*", b"MM*\0", b"II+\0", b"MM\0+")
_JPEG2000 = (b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")
# Icons and cursors.
_ICONS = (b"\0\0\1\0", b"\0\0\2\0")
_JPEGXL = (b"\xff\x0a", b"\0\0\0\x0cJXL ")
# Of cameras whose files are no TIFFs by their first bytes.
_RAW = {
    b"IIRO": "Olympus",
    b"IIRS": "Olympus",
    b"MMOR": "Olympus",
    b"IIU\0": "Panasonic or Leica",
    b"FUJIFILMCCD-RAW": "Fujifilm",
    b"\0MRM": "Minolta",
    b"FOVb": "Sigma",
    b"II\x1a\0\0\0HEAPCCDR": "Canon",
}
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_AVIF = (b"avif", b"avis")
_MAX_BRANDS = 32
_RAW_WORDS = (
    "holds what the sensor saw and a small preview, which is not taken: develop it"
)


class Special(NamedTuple):
    """A picture that is read otherwise.

    Attributes
    ----------
    n_pixels
        What decoding it takes.
    orientation
        How the camera was held, as EXIF numbers it.
    load
        Returns it, decoded.
    """

    n_pixels: int
    orientation: int
    load: Callable[[], Image.Image]


def special_of(data: bytes, *, max_pixels: int) -> Special | None:
    """Return how a picture is read that is not for Pillow; None if it is.

    Raises
    ------
    UnreadableError
        If it is known what it is, and that it cannot be read.
    """
    if data.startswith(_USUAL):
        return None
    for marks, read in _READERS:
        if data.startswith(marks):
            return read(data, max_pixels)
    if data[4:8] == b"ftyp":
        return _boxed(data)
    for mark, maker in _RAW.items():
        if data.startswith(mark):
            raise UnreadableError(f"camera raw ({maker}): it {_RAW_WORDS}")
    return None


def _tiff(data: bytes, max_pixels: int) -> Special | None:
    heads = read_heads(data)
    if heads is None:
        return None
    if heads.is_raw:
        raise UnreadableError(
            f"camera raw (a TIFF such as DNG, NEF, CR2): it {_RAW_WORDS}"
        )
    head = heads.first
    if is_right_with_pillow(head):
        return None
    # It computes with arrays.
    from lowmem_jobs.ingest.tiff_decoder import read_tiff  # noqa: PLC0415

    return Special(
        head.width * head.height,
        head.orientation,
        lambda: read_tiff(data, head, max_pixels=max_pixels),
    )


def _fits(data: bytes, _max_pixels: int) -> Special:
    # It computes with arrays.
    from lowmem_jobs.ingest.fits import open_fits  # noqa: PLC0415

    picture = open_fits(data)
    return Special(picture.width * picture.height, 1, picture.load)


def _jpeg2000(data: bytes, _max_pixels: int) -> Special | None:
    head = head_of_jpeg2000(data)
    if head is None or head.is_right_with_pillow:
        return None
    return Special(head.width * head.height, 1, lambda: read_jpeg2000(data, head))


def _jpegxl(data: bytes, _max_pixels: int) -> Special:
    try:
        import pillow_jxl  # noqa: F401, PLC0415 - an extra: registers itself
    except ImportError as error:
        raise without_extra("JPEG XL", "jxl") from error
    width, height = size_of_jpegxl(data)
    return Special(width * height, 1, lambda: _load_jpegxl(data))


def _load_jpegxl(data: bytes) -> Image.Image:
    image = _by_plugin(data, "JXL")
    # One that was made of a JPEG comes as that JPEG's pixels are stored, any other upright.
    is_of_jpeg = getattr(image, "jpeg", False)
    return upright(image, orientation_of_jpegxl(data)) if is_of_jpeg else image


def _boxed(data: bytes) -> Special | None:
    """Return how a picture in boxes is read, of which the brands say what it is."""
    n_bytes = min(struct.unpack_from(">I", data)[0], 16 + 4 * _MAX_BRANDS, len(data))
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, n_bytes - 3, 4))}
    if b"crx " in brands:
        raise UnreadableError(f"camera raw (Canon): it {_RAW_WORDS}")
    if data[8:12] in _AVIF or not brands & {*_HEIF} or brands & {*_AVIF}:
        return None
    try:
        import pillow_heif  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise without_extra("HEIC", "heif") from error
    pillow_heif.register_heif_opener()
    with _opened_by_plugin(data, "HEIF") as image:
        n_pixels = image.width * image.height
    return Special(n_pixels, 1, lambda: _by_plugin(data, "HEIF"))


def _opened_by_plugin(data: bytes, form: str) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=[form])
    except UnidentifiedImageError as error:
        raise UnreadableError(f"damaged {form}") from error


def _by_plugin(data: bytes, form: str) -> Image.Image:
    """Return the picture as a plugin of Pillow reads it."""
    image = _opened_by_plugin(data, form)
    image.load()
    return image


_Opening = tuple[int, Callable[[], Image.Image]] | None
_Reader = Callable[[bytes, int], Special | None]


def _simple(opened: Callable[[bytes], _Opening]) -> _Reader:
    """Return a reader of pictures that need no turning."""

    def read(data: bytes, _max_pixels: int) -> Special | None:
        opening = opened(data)
        return None if opening is None else Special(opening[0], 1, opening[1])

    return read


_READERS: tuple[tuple[tuple[bytes, ...], _Reader], ...] = (
    (_TIFF, _tiff),
    ((b"SIMPLE  =",), _fits),
    (_JPEG2000, _jpeg2000),
    (_JPEGXL, _jpegxl),
    (_ICONS, _simple(open_icon)),
    ((b"BM",), _simple(open_masked_bmp)),
    ((b"8BPS",), _simple(open_deep_psd)),
    ((b"P7\n",), _simple(open_pam)),
    ((b"\x01\xda",), _simple(open_sgi_with_alpha)),
)

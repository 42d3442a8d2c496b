"""TIFFs of whatever layout, by tifffile and imagecodecs: the extra ``tiff``."""

from __future__ import annotations

import logging
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from lowmem_jobs.ingest.bit_depth import bytes_from_samples, with_alpha
from lowmem_jobs.ingest.extras import without_extra
from lowmem_jobs.ingest.tiffs import COLOURS, title
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lowmem_jobs.ingest.framing import Pixels
    from lowmem_jobs.ingest.tiff_tags import TiffHead

_WHITE_IS_0, _BLACK_IS_0, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_CHANNELS = {_WHITE_IS_0: 1, _BLACK_IS_0: 1, _RGB: 3, _CMYK: 4, _YCBCR: 3}
_JPEGS = (6, 7)
_COMPLEX = (5, 6)  # integers, floats
# Colours that were multiplied by their alpha, and such that were not.
_ALPHA_MODES: dict[int, Literal["RGBa", "RGBA"]] = {1: "RGBa", 2: "RGBA"}
_MULTIPLIED = 1
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_PART = 1 | 4  # bits of the subfile's kind: a reduced copy, a mask
_PHOTOMETRIC, _INK_SET = 262, 332
_SEPARATE = 2
_BYTE, _WIDE = 8, 16
# A decoded picture of more is not taken; bytes.
_MAX_BYTES = 2**30


def read_tiff(data: bytes, head: TiffHead, *, max_pixels: int) -> Image.Image:
    """Return the first whole picture of a TIFF, of whatever layout.

    Raises
    ------
    UnreadableError
        If its extra is not installed, or what its samples mean is not known.
    """
    try:
        import imagecodecs  # noqa: F401, PLC0415 - an extra, and large
        import tifffile  # noqa: PLC0415
    except ImportError as error:
        raise without_extra(title(head), "tiff") from error
    # What it makes good it would tell on stderr.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    with tifffile.TiffFile(BytesIO(data)) as file:
        page = _whole_page(file)
        _require_size(page, max_pixels)
        samples = page.asarray(maxworkers=1)
        shape = (int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel))
        if shape[2] > 1 and int(page.planarconfig) == _SEPARATE:
            samples = samples.reshape(shape[2], *shape[:2]).transpose(1, 2, 0)
        return _picture(samples.reshape(shape), page)


def _whole_page(file: Any) -> Any:  # noqa: ANN401 - tifffile's own types
    """Return the first page that is no reduced copy and no mask."""
    for page in file.pages:
        for one in (page, *(page.pages or ())):
            if not int(one.subfiletype) & _PART:
                return one
    raise UnreadableError("TIFF that holds nothing but reduced copies or masks")


def _require_size(page: Any, max_pixels: int) -> None:  # noqa: ANN401
    """Refuse what does not fit, before anything is decoded."""
    width, height = int(page.imagewidth), int(page.imagelength)
    if width * height > max_pixels:
        raise UnreadableError(f"{width} x {height} pixels, more than {max_pixels}")
    if int(page.imagedepth) != 1:
        raise UnreadableError("TIFF of a volume, not of a picture")
    if int(page.sampleformat) in _COMPLEX:
        raise UnreadableError("TIFF of complex numbers, which have no known white")
    if page.dtype is None or not isinstance(page.bitspersample, int):
        raise UnreadableError("TIFF whose samples are of several kinds")
    if width * height * int(page.samplesperpixel) * page.dtype.itemsize > _MAX_BYTES:
        raise UnreadableError(f"decodes to more than {_MAX_BYTES} bytes")
    # It would take such parts for black.
    is_listed = min(len(page.dataoffsets), len(page.databytecounts)) >= prod(
        page.chunked
    )
    if not is_listed or not all(page.databytecounts) or not all(page.dataoffsets):
        raise UnreadableError("TIFF of which a part is not stored")


def _picture(samples: NDArray[Any], page: Any) -> Image.Image:  # noqa: ANN401
    """Return a page as an image of eight bits.

    Parameters
    ----------
    samples : shape (height, width, samples)
        Its samples as stored.
    """
    photometric, bits = int(page.photometric), int(page.bitspersample)
    kinds = [int(kind) for kind in page.extrasamples]
    n_colours = samples.shape[2] - len(kinds)
    at = next((n for n, kind in enumerate(kinds) if kind in _ALPHA_MODES), None)
    if photometric in {_CMYK, _PALETTE} and at is not None and kinds[at] == _MULTIPLIED:
        name = COLOURS[photometric]
        raise UnreadableError(f"TIFF ({name}) that is multiplied by its alpha")
    image = _colours(samples[..., :n_colours], page)
    if at is None:
        return image
    place = n_colours + at
    alpha = bytes_from_samples(samples[..., place : place + 1], bits)
    colours = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    return with_alpha(
        colours.reshape(*alpha.shape[:2], -1), alpha, mode=_ALPHA_MODES[kinds[at]]
    )


def _colours(samples: NDArray[Any], page: Any) -> Image.Image:  # noqa: ANN401
    """Return the colours alone as an image, of samples as in `_picture`."""
    photometric, bits = int(page.photometric), int(page.bitspersample)
    n_colours = samples.shape[2]
    if photometric == _PALETTE and n_colours == 1:
        return Image.fromarray(_from_palette(samples[..., 0], page.colormap))
    _require_meaning(photometric, n_colours, page)
    scaled = bytes_from_samples(samples, bits, is_inverted=photometric == _WHITE_IS_0)
    return Image.frombytes(_MODES[n_colours], samples.shape[1::-1], scaled.tobytes())


def _require_meaning(photometric: int, n_colours: int, page: Any) -> None:  # noqa: ANN401
    """Refuse colours of which it is not known what they show."""
    name = COLOURS.get(photometric, f"photometric {photometric}")
    if _PHOTOMETRIC not in page.tags:
        raise UnreadableError("TIFF that does not say what its samples are")
    if _CHANNELS.get(photometric) != n_colours:
        raise UnreadableError(f"TIFF ({name}) of {n_colours} channels")
    # The JPEG library has made RGB of it.
    if photometric == _YCBCR and int(page.compression) not in _JPEGS:
        raise UnreadableError(f"TIFF ({name}) that is not compressed as JPEG")
    inks = page.tags.valueof(_INK_SET, 1)
    if photometric == _CMYK and inks != 1:
        raise UnreadableError("TIFF of other inks than CMYK")


def _from_palette(numbers: NDArray[Any], colour_map: NDArray[Any]) -> Pixels:
    """Return the colours of a palette, shape (height, width, 3)."""
    colours = colour_map.T
    if colours.max() >= 2**_BYTE:
        colours = bytes_from_samples(colours, _WIDE)
    pixels: Pixels = colours.astype("u1")[numbers.astype("u2")]
    return pixels

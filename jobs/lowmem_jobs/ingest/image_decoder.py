"""From an encoded image, or a row of an array, to one RGB image of the wanted size.

The order: decode, turn upright, composite over white, cut and scale. Compositing comes
before scaling, so that the hidden colour of transparent pixels cannot bleed into edges.
Colour profiles are not applied.
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from io import BytesIO
from math import ceil, floor
from typing import TYPE_CHECKING

from PIL import Image, ImageCms, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from lowmem_jobs.ingest.jpeg_truncation import watch_jpeg
from lowmem_jobs.ingest.large_images import Turns
from lowmem_jobs.ingest.pillow_corrections import MENDS
from lowmem_jobs.ingest.png import clear_colour_mended
from lowmem_jobs.ingest.png_truncation import DoubtedError, require_all_rows, watch_png
from lowmem_jobs.ingest.signatures import special_of
from lowmem_jobs.ingest.tiff_truncation import require_parts
from lowmem_jobs.ingest.unreadable import CUT_SHORT, UnreadableError
from lowmem_jobs.ingest.upright import upright

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from PIL.ImageFile import ImageFile

    from lowmem_jobs.ingest.framing import Framing
    from lowmem_jobs.ingest.signatures import Special

# A constant, not a share of the budget: what is ingested must not depend on memory.
# Decoded and composited, such an image takes 0.5 GiB.
MAX_PIXELS = 2**26
# From here on only one image is decoded at a time.
_LARGE_PIXELS = 2**22
# Shrinking is done by whole factors first, down to so many times the wanted size.
_REDUCING_GAP = 3.0
_JPEG = ("JPEG", "MPO")
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_ORIENTATION = 0x0112  # the EXIF tag
# Those that swap the sides.
_SWAPPED = (5, 6, 7, 8)
_ROW_MODES = {1: "L", 3: "RGB", 4: "RGBA"}
# Pillow hands EPS to Ghostscript, an outside program, which may do what the file says.
_REFUSED = ("EPS",)
_USUAL = ("JPEG", "PNG")


def image_formats() -> list[str]:
    """Return the formats that are read: all that Pillow knows but those refused.

    The usual ones come first: asking all others whether a JPEG is theirs takes as long
    as opening it.
    """
    Image.init()
    known = [name for name in Image.ID if name not in _REFUSED]
    return sorted(known, key=lambda name: name not in _USUAL)


class Decoder:
    """Makes finished images.

    Attributes
    ----------
    frame
        How they are cut and scaled.
    keeps_truncated
        Whether a JPEG is wanted of which the end is missing.
    turns
        Of large ones one is decoded at a time, by all processes together.
    """

    def __init__(
        self,
        frame: Framing,
        *,
        keeps_truncated: bool = False,
        turns: Turns | None = None,
    ) -> None:
        self.frame = frame
        self.keeps_truncated = keeps_truncated
        self.turns = turns or Turns()
        self._formats = image_formats()

    def image(self, data: bytes, *, is_cut_short: bool = False) -> Image.Image:
        """Return the image that ``data`` encodes.

        Parameters
        ----------
        is_cut_short
            Whether its end is missing, and the image is to be as if it ended there.

        Raises
        ------
        UnreadableError
            If it cannot be read, or the frame does not fit in.
        """
        if is_cut_short:
            data += _JPEG_END
        try:
            special = special_of(data, max_pixels=MAX_PIXELS)
            if special is not None:
                return self._finish_special(special)
            return self._opened(data, is_trusted=is_cut_short)
        except (UnreadableError, MemoryError):
            raise
        except UnidentifiedImageError as error:
            raise UnreadableError("not an image that Pillow can read") from error
        except OSError as error:
            is_short = data.startswith(_JPEG_START) and "truncated" in str(error)
            raise UnreadableError(CUT_SHORT if is_short else _reason(error)) from error
        # Decoders fed with hostile bytes raise nearly everything that there is.
        except Exception as error:
            raise UnreadableError(_reason(error)) from error

    def row(self, data: bytes, shape: tuple[int, ...]) -> Image.Image:
        """Return the image of one array row.

        Parameters
        ----------
        data
            Its bytes: grey, RGB or RGBA.
        shape
            (height, width) or (height, width, 1 or 3 or 4).
        """
        height, width, *channels = shape
        mode = _ROW_MODES[channels[0] if channels else 1]
        rgb = _rgb(Image.frombytes(mode, (width, height), data))
        return self._fit(rgb, scale=(1.0, 1.0))

    def _opened(self, data: bytes, *, is_trusted: bool) -> Image.Image:
        """Return a picture that Pillow reads.

        Parameters
        ----------
        is_trusted
            Whether it is taken as it is, even if pixels are missing.
        """
        try:
            with Image.open(BytesIO(data), formats=self._formats) as image:
                return self._finish(image, data, is_trusted=is_trusted)
        except DoubtedError:
            require_all_rows(data)
        return self._opened(data, is_trusted=True)

    def _finish(
        self, image: ImageFile, data: bytes, *, is_trusted: bool
    ) -> Image.Image:
        n_pixels = image.width * image.height
        if n_pixels > MAX_PIXELS:
            raise UnreadableError(
                f"{image.width} x {image.height} pixels, more than {MAX_PIXELS}"
            )
        scale = self._draft(image)
        with self._turn(image.width * image.height):
            if not is_trusted:
                _watch(image, data)
            mended = _mended(image, data)
            mended.load()
            orientation = _orientation(image)
            rgb = upright(_rgb(mended), orientation)
            if orientation in _SWAPPED:
                scale = scale[::-1]
            return self._fit(rgb, scale=scale)

    def _finish_special(self, special: Special) -> Image.Image:
        if special.n_pixels > MAX_PIXELS:
            raise UnreadableError(f"{special.n_pixels} pixels, more than {MAX_PIXELS}")
        with self._turn(special.n_pixels):
            rgb = upright(_rgb(special.load()), special.orientation)
            return self._fit(rgb, scale=(1.0, 1.0))

    def _turn(self, n_pixels: int) -> AbstractContextManager[object]:
        return self.turns if n_pixels > _LARGE_PIXELS else nullcontext()

    def _draft(self, image: Image.Image) -> tuple[float, float]:
        """Let a JPEG be decoded at 1/2, 1/4 or 1/8 where that is large enough.

        Returns
        -------
        scale
            Width and height of the image to come over those of the original.
        """
        if image.format not in _JPEG:
            return (1.0, 1.0)
        width, height = image.size
        box = self.frame.box(width, height) or (0, 0, width, height)
        part = min(box[2] - box[0], box[3] - box[1])
        factor = min(1.0, _REDUCING_GAP * self.frame.size / part)
        image.draft(image.mode, (round(width * factor), round(height * factor)))
        return (image.width / width, image.height / height)

    def _fit(self, rgb: Image.Image, scale: tuple[float, float]) -> Image.Image:
        """Cut and scale an upright RGB image.

        Parameters
        ----------
        scale
            Its width and height over those of the original, to which a crop refers.
        """
        width, height = round(rgb.width / scale[0]), round(rgb.height / scale[1])
        box = self.frame.box(width, height)
        if box is None:
            raise UnreadableError(f"{width} x {height} pixels, too small for the crop")
        left, top = box[0] * scale[0], box[1] * scale[1]
        right = min(box[2] * scale[0], rgb.width)
        bottom = min(box[3] * scale[1], rgb.height)
        # Cut first: scaling a box would let the pixels around it bleed in.
        corner = (floor(left), floor(top))
        part = (*corner, ceil(right), ceil(bottom))
        cut = rgb if part == (0, 0, *rgb.size) else rgb.crop(part)
        return cut.resize(
            (self.frame.size, self.frame.size),
            Image.Resampling.LANCZOS,
            box=(
                left - corner[0],
                top - corner[1],
                right - corner[0],
                bottom - corner[1],
            ),
            reducing_gap=_REDUCING_GAP,
        )


def _orientation(image: Image.Image) -> int:
    """Return how the camera was held; 1 (upright) where that cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - damaged EXIF data say nothing about the pixels
        return 1


def _watch(image: ImageFile, data: bytes) -> None:
    """Refuse a picture of which pixels are missing, now or while it is loaded."""
    if image.format in _JPEG:
        watch_jpeg(image)
    elif image.format == "PNG":
        watch_png(image)
    elif isinstance(image, TiffImageFile):
        require_parts(image.tag_v2, data)


def _mended(image: ImageFile, data: bytes) -> Image.Image:
    """Return an image that is not loaded with what Pillow mistakes made good."""
    if image.format == "PNG" and "transparency" in image.info:
        return clear_colour_mended(image, data) or image
    mend = MENDS.get(image.format or "")
    return image if mend is None else mend(image, data)


def _rgb(image: Image.Image) -> Image.Image:
    """Return the image as RGB, composited over white."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        # Where nothing but images is decoded, NumPy would be most of the memory.
        from lowmem_jobs.ingest.bit_depth import eight_bits  # noqa: PLC0415

        return Image.fromarray(eight_bits(image)).convert("RGB")
    if image.mode == "LAB":
        return _rgb_from_lab(image)
    if image.has_transparency_data:
        return _over_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    # Converting to the same mode would make a copy.
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    white = Image.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba)
    return white


def _rgb_from_lab(image: Image.Image) -> Image.Image:
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # noqa: S101 - None only where done in place
    return converted


def _reason(error: Exception) -> str:
    """Return an error as one line that is the same in every run."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(str(error).split()))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

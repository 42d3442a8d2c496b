"""The clear colour of a PNG (tRNS), in the pictures of which Pillow mistakes it.

It is given as a sample of the file's own depth. Pillow compares it with samples that it
has brought to eight bits, and of sixteen bits it forgets it. PNG 1.2, section 4.2.1.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

# By how much Pillow multiplies grey samples of so few bits.
_FACTORS = {"L;2": 85, "L;4": 17}
_MASKS = {"L;2": 3, "L;4": 15, "L": 255}
_RGB_16, _GREY_16 = "RGB;16B", "I;16B"


def clear_colour_mended(image: ImageFile, data: bytes) -> Image.Image | None:
    """Return a PNG with its clear colour, loaded; None where Pillow knows it.

    What Pillow would compare is brought to the form in which it does.

    Parameters
    ----------
    image
        With a ``transparency``, and not loaded yet.
    data
        The file.
    """
    layout = image.tile[0].args if image.tile else None
    clear = image.info["transparency"]
    if layout in _MASKS and isinstance(clear, int):
        image.info["transparency"] = (clear & _MASKS[layout]) * _FACTORS.get(layout, 1)
        return None
    if layout == "RGB" and isinstance(clear, tuple):
        # Only the lower bits count.
        image.info["transparency"] = tuple(value & 255 for value in clear)
        return None
    if layout not in {_RGB_16, _GREY_16}:
        return None
    # Where nothing but bytes is decoded, NumPy would be most of the memory.
    from lowmem_jobs.ingest.png_16_bit import with_clear_colour  # noqa: PLC0415

    return with_clear_colour(image, data)

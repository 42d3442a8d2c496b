"""A contact sheet: some images of a store in one PNG, evenly spread over its rows.

``python -m lowmem.stores.contact_sheet STORE FILE``: a process of its own, since NumPy
and Pillow have no place in the command that asks for it.
"""

from __future__ import annotations

import sys
from io import BytesIO
from math import ceil, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lowmem.base.errors import LowmemError
from lowmem.base.files import write_file
from lowmem.stores.images import find_images
from lowmem.stores.row_reader import RowReader

if TYPE_CHECKING:
    from lowmem.stores.images import Images

_N_SHOWN = 64
_LARGEST = 128  # pixels of one image on the sheet


def write_sheet(store: Path, target: Path) -> int:
    """Write the sheet; return how many images it shows.

    Raises
    ------
    DataError
        If there are no images, or a chunk is damaged.

    Notes
    -----
    Memory: one chunk, and the sheet of at most 3 MiB.
    """
    images = find_images(store)
    sheet, n_shown = sheet_of(images)
    write_file(target, sheet)
    return n_shown


def sheet_of(images: Images) -> tuple[bytes, int]:
    """Return the sheet as a PNG, and how many images it shows; see `write_sheet`."""
    n_shown = min(_N_SHOWN, images.n_images)
    n_columns = ceil(sqrt(n_shown))
    height, width = (min(_LARGEST, side) for side in images.image_shape[:2])
    n_lines = ceil(n_shown / n_columns)
    sheet = Image.new("RGB", (n_columns * width, n_lines * height), "white")
    with RowReader.open(images.store, images.name) as reader:
        for place in range(n_shown):
            row = place * images.n_images // n_shown
            pixels = reader.read(row, row + 1)[0]
            flat = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
            picture = Image.fromarray(np.ascontiguousarray(flat)).convert("RGB")
            line, column = divmod(place, n_columns)
            sheet.paste(
                picture.resize((width, height)), (column * width, line * height)
            )
    stream = BytesIO()
    sheet.save(stream, "PNG")
    return stream.getvalue(), n_shown


def main(store: str, target: str) -> int:
    """Write a sheet; tell of what went wrong on stderr; return the exit status."""
    try:
        write_sheet(Path(store), Path(target))
    except LowmemError as error:
        sys.stderr.write(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

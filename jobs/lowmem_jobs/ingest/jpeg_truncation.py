"""JPEGs whose code ends early, though their end mark is there.

libjpeg fills up with grey what is not in the file. It warns, and Pillow passes no warning
on. What cannot be hidden is that it waits: given code without the mark behind it, it asks
for more until all units are decoded, and takes anything after that. So each part of the
code, up to a restart mark or the end of a scan, is followed by a filler before the mark
is shown. Where the units are complete the filler is skipped, as libjpeg skips all that
stands before a mark; where they are not, some of it is left, or asked for.

The filler cannot be shorter than what libjpeg reads ahead, 56 bits, and may stand for
code of so many. It is made of ones, of which no code consists (ITU-T T.81, annex C), so
one wrong code takes 17 of them: of each part, the last eight bytes are not vouched for.
Arithmetic code has no end that could be missed: there the decoder adds zeros by rule.
"""

from __future__ import annotations

import re
from math import ceil
from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from lowmem_jobs.ingest.pillow_private import jpeg_decoder
from lowmem_jobs.ingest.unreadable import CUT_SHORT, UnreadableError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from PIL.ImageFile import ImageFile

# What libjpeg reads ahead, in ones; a zero byte says that the byte before is no mark.
_FILLER = 7 * b"\xff\x00"
_MORE = b"\xff\x00"
# Of several bytes FF before a mark this finds the last: looking for all takes 30 times
# as long.
_MARK = re.compile(rb"\xff[\x01-\xfe]")
_NO_MARKS = (b"", b"\0", b"\xff")
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
# Marks without a length: restarts, the start of a file, and one for private use.
_BARE = {0x01, _START, *range(0xD0, 0xD8)}
# Frames that are not coded in Huffman's way, or not in sequence or progressively.
_RESTARTS = 0xDD
_FRAMES = {0xC0, 0xC1, 0xC2}
_OTHER_FRAMES = {0xC3, 0xC5, 0xC6, 0xC7, *range(0xC9, 0xCC), 0xCD, 0xCE, 0xCF}
# Parts of more bytes are not copied; below that, copying costs less than a call.
_MANY_BYTES = 2**16

_CODEC = "lowmem_jpeg"


class JpegDecoder:
    """Pillow's decoder of JPEG, as a codec that refuses what ends early.

    Notes
    -----
    Pillow calls the methods, and expects them of any codec (`PIL.ImageFile.PyDecoder`).
    Decoding takes one call more for each scan and each restart mark.
    """

    pulls_fd = True

    def __init__(self, mode: str, *args: object) -> None:
        self._decoder: Any = jpeg_decoder(mode, *args)
        self._file: IO[bytes] | None = None

    def setimage(self, im: object, extents: object = None) -> None:
        """Take the memory to decode into."""
        self._decoder.setimage(im, extents)

    def setfd(self, fd: IO[bytes]) -> None:
        """Take the file, which stands at the beginning of the JPEG."""
        self._file = fd

    def cleanup(self) -> None:
        """Leave the memory."""
        self._decoder.cleanup()

    def decode(self, _buffer: object) -> tuple[int, int]:
        """Decode all of the file; return -1 and the error's number, 0 for none.

        Raises
        ------
        UnreadableError
            If there is not as much code as the picture needs, or no end mark.
        """
        assert self._file is not None  # noqa: S101 - Pillow has set it: `pulls_fd`
        data = self._file.read()
        view, at = memoryview(data), 0
        for end in code_ends(data):
            if end - at > _MANY_BYTES:
                n_taken, code = self._decoder.decode(view[at:end])
                if n_taken < 0:
                    return n_taken, code
                at += n_taken
            for piece in (data[at:end] + _FILLER, _MORE):
                n_taken, code = self._decoder.decode(piece)
                if n_taken < 0:
                    return n_taken, code
                if n_taken < len(piece):
                    raise UnreadableError(CUT_SHORT)
            at = end
        n_taken, code = self._decoder.decode(view[at:])
        if n_taken >= 0:
            raise UnreadableError(CUT_SHORT)
        return n_taken, code


Image.register_decoder(_CODEC, JpegDecoder)  # type: ignore[arg-type]


def watch_jpeg(image: ImageFile) -> None:
    """Have a picture that is not loaded yet refused while it is, if it ends early."""
    image.tile = [
        tile._replace(codec_name=_CODEC) if tile.codec_name == "jpeg" else tile
        for tile in image.tile
    ]


def code_ends(data: bytes) -> Iterator[int]:
    """Yield where each part of the code of a JPEG ends, in order.

    Raises
    ------
    UnreadableError
        If it is seen from the marks that a part is missing.
    """
    at, frame, n_units = 2, b"", 0
    while (at := _next_mark(data, at)) >= 0:
        kind = data[at + 1]
        if kind == _END or kind in _OTHER_FRAMES:
            return
        at += 2
        if kind in _BARE:
            continue
        start = at
        at += int.from_bytes(data[at : at + 2], "big")
        if kind in _FRAMES:
            frame = data[start:at]
        elif kind == _RESTARTS:
            n_units = int.from_bytes(data[start + 2 : at], "big")
        elif kind == _SCAN:
            n_parts = _n_parts(frame, data[start:at], n_units) if n_units else 1
            at = yield from _ends_of_scan(data, at, n_parts)


def _next_mark(data: bytes, at: int) -> int:
    """Return where the next mark is; -1 for none."""
    # Segments mostly follow each other, and a search takes as long as all the rest.
    if data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] not in _NO_MARKS:
        return at
    mark = _MARK.search(data, at)
    return mark.start() if mark else -1


def _n_parts(frame: bytes, scan: bytes, n_units: int) -> int:
    """Return the parts of a scan, of so many units each: T.81, A.2 and B.2.3.

    Parameters
    ----------
    frame, scan
        The segments at whose beginning the sizes and the components are listed.
    """
    factors = {
        frame[at]: (frame[at + 1] >> 4, frame[at + 1] & 15)
        for at in range(8, len(frame) - 2, 3)
    }
    chosen = [factors[name] for name in scan[3:-3:2] if name in factors]
    # Damaged: libjpeg refuses it.
    if not chosen or not all(across and down for across, down in factors.values()):
        return 1
    n_all = 1
    sides = (frame[5] << 8 | frame[6], frame[3] << 8 | frame[4])
    for axis, n_pixels in enumerate(sides):
        most = max(one[axis] for one in factors.values())
        # A component that is alone has no more blocks than its size needs.
        n_own = ceil(n_pixels * chosen[0][axis] / most)
        n_all *= ceil(n_own / 8) if len(chosen) == 1 else ceil(n_pixels / (8 * most))
    return ceil(n_all / n_units)


def _ends_of_scan(data: bytes, at: int, n_parts: int) -> Generator[int, None, int]:
    """Yield where the parts of one scan end; return where its last one does."""
    for number in range(n_parts):
        mark = _MARK.search(data, at)
        if mark is None:
            return len(data)
        end = mark.start()
        while end > at and data[end - 1] == 0xFF:  # noqa: PLR2004 - fills, as T.81 allows
            end -= 1
        is_right = number == n_parts - 1 or data[mark.end() - 1] == 0xD0 + number % 8
        if end == at or not is_right:
            raise UnreadableError(CUT_SHORT)
        yield end
        at = end if number == n_parts - 1 else mark.end()
    return at

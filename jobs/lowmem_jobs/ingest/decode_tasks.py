"""What any process needs to make an image, and the memory in which both sides meet.

Encoded images go to a decoding process, and pixels come back, in memory that both
share. It is divided into slots, each for the images of one batch and, before them,
their pixels. Lines of JSON say what a slot holds. Nothing is pickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from lowmem_jobs.ingest.entries import Entry
from lowmem_jobs.ingest.zips import unpacked

if TYPE_CHECKING:
    from PIL import Image

    from lowmem_jobs.ingest.image_decoder import Decoder


class DecodeTask(NamedTuple):
    """One image to be made, without anything of its source.

    Attributes
    ----------
    kind
        ``file``: an encoded image; ``member``: one as it is packed in a zip archive;
        ``row``: a row of an array, grey, RGB or RGBA.
    numbers
        Of a member its size, CRC-32 and compression; of a row its shape.
    data
        The bytes.
    """

    kind: Literal["file", "member", "row"]
    numbers: tuple[int, ...]
    data: bytes | memoryview


def image_of(
    task: DecodeTask, decoder: Decoder, *, is_cut_short: bool = False
) -> Image.Image:
    """Return the finished image.

    Parameters
    ----------
    is_cut_short
        Whether its end is missing, and is not to be waited for.

    Raises
    ------
    UnreadableError
        If it cannot be unpacked or decoded.
    """
    data = bytes(task.data)
    if task.kind == "row":
        return decoder.row(data, task.numbers)
    if task.kind == "member":
        n_bytes, crc, method = task.numbers
        data = unpacked(Entry("", n_bytes=n_bytes, crc=crc, method=method), data)
    return decoder.image(data, is_cut_short=is_cut_short)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """How shared memory is divided.

    Attributes
    ----------
    n_slots, n_images
        How many there are, and images in each.
    encoded_bytes
        Bytes of encoded images in each, together.
    side
        Height and width of a finished image.
    """

    n_slots: int
    n_images: int
    encoded_bytes: int
    side: int

    @property
    def image_bytes(self) -> int:
        """Bytes of a finished image."""
        return self.side**2 * 3

    @property
    def slot_bytes(self) -> int:
        """Bytes of one slot, whole pages."""
        n_bytes = self.n_images * self.image_bytes + self.encoded_bytes
        return -(-n_bytes // 4096) * 4096

    @property
    def n_bytes(self) -> int:
        """Bytes of all."""
        return self.n_slots * self.slot_bytes

    def pixels_at(self, slot: int, place: int) -> int:
        """Return where the pixels of an image begin."""
        return slot * self.slot_bytes + place * self.image_bytes

    def encoded_at(self, slot: int) -> int:
        """Return where the encoded images of a slot begin."""
        return self.pixels_at(slot, self.n_images)

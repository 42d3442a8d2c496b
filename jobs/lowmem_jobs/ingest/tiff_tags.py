"""What a TIFF says of its pictures, read from its tags before anything is decoded.

Adobe, TIFF 6.0 (1992), section 2; BigTIFF as libtiff writes it. Whatever a file says,
few bytes of it are looked at: directories, entries and values are counted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MAX_ENTRIES = 1024
_MAX_PAGES = 32
_MAX_SUB_PAGES = 16
# A colour map of eight bits; of all other tags that are read, fewer values have meaning.
_MAX_VALUES = 3 * 2**8
# Format and size of one value by the number of its type; text and fractions say nothing.
_TYPES = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i", 13: "I", 16: "Q", 18: "Q"}

_SUBFILE, _OLD_SUBFILE = 254, 255
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_FILL_ORDER, _MAKE, _ORIENTATION, _SAMPLES = 266, 271, 274, 277
_PLANAR, _COLOUR_MAP, _SUB_PAGES, _INK_SET = 284, 320, 330, 332
_EXTRA, _FORMATS, _DNG_VERSION = 338, 339, 50706
_DEPTH = 32997
_REDUCED, _MASK = 1, 4  # bits of the subfile's kind
_OLD_REDUCED = 2
# A mosaic of colour filters, and samples of a sensor: DNG 1.7, PhotometricInterpretation.
_RAW = (32803, 34892)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffHead:
    """The layout of one picture of a TIFF; numbers are those of the specification.

    Attributes
    ----------
    is_little, is_big
        Its byte order, and whether it is a BigTIFF.
    width, height, depth
        In pixels, as stored; of a picture the depth is 1.
    bits, formats
        Bits of each sample of a pixel, and what they are: 1 unsigned, 2 signed, 3 float.
    photometric, compression, planar, fill_order, orientation, ink_set
        As stored, or the default; ``photometric`` is None where it is not said.
    extras
        What each sample beyond the colours is: 0 nothing known, 1 alpha that the colours
        are multiplied by, 2 alpha.
    colour_map
        Of a palette of up to eight bits: all reds, greens, blues.
    is_part
        Whether it is a reduced copy of another picture, or a mask of one.
    """

    is_little: bool
    is_big: bool
    width: int
    height: int
    depth: int
    bits: tuple[int, ...]
    formats: tuple[int, ...]
    photometric: int | None
    compression: int
    planar: int
    fill_order: int
    orientation: int
    ink_set: int
    extras: tuple[int, ...]
    colour_map: tuple[int, ...]
    is_part: bool

    @property
    def n_colours(self) -> int:
        """Samples of a pixel without the extra ones."""
        return len(self.bits) - len(self.extras)


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffHeads:
    """The pictures of a TIFF, as far as they matter.

    Attributes
    ----------
    first
        The first one, which readers take.
    is_raw
        Whether the picture itself is what a camera's sensor saw.
    """

    first: TiffHead
    is_raw: bool


@dataclass(frozen=True, slots=True)
class _File:
    """Bytes, and how numbers stand in them."""

    data: bytes
    order: str
    is_big: bool


def read_heads(data: bytes) -> TiffHeads | None:
    """Return what a TIFF says of its pictures; None where it has no whole directory."""
    file = _opened(data)
    if file is None:
        return None
    form = "QI"[not file.is_big]
    start = _number(file, form, 8 if file.is_big else 4)
    first, following = _directory(file, start)
    if first is None:
        return None
    others = list(_others(file, first, following))
    return TiffHeads(
        first=_head(file, first),
        is_raw=_is_raw(data, first, others),
    )


def _opened(data: bytes) -> _File | None:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    # Some writers swap the bytes of the magic number; readers take them.
    kinds = {b"*\0": False, b"\0*": False, b"+\0": True, b"\0+": True}
    is_big = kinds.get(data[2:4])
    if order is None or is_big is None:
        return None
    return _File(data, order, is_big)


def _number(file: _File, form: str, at: int) -> int:
    """Return one number; 0 beyond the end."""
    n_bytes = struct.calcsize(form)
    part = file.data[at : at + n_bytes]
    return int(struct.unpack(file.order + form, part)[0]) if len(part) == n_bytes else 0


def _directory(
    file: _File, start: int
) -> tuple[Mapping[int, tuple[int, ...]] | None, int]:
    """Return the tags at an offset, and the offset of the next ones; 0 where none."""
    head, size, form = (8, 20, "Q") if file.is_big else (2, 12, "I")
    n_entries = _number(file, "Q" if file.is_big else "H", start)
    end = start + head + size * n_entries
    if not start or not 0 < n_entries <= _MAX_ENTRIES or end > len(file.data):
        return None, 0
    tags = {}
    for at in range(start + head, end, size):
        tag, values = _entry(file, at, form)
        if values:
            tags[tag] = values
    return tags, _number(file, form, end)


def _entry(file: _File, at: int, form: str) -> tuple[int, tuple[int, ...]]:
    tag, kind = _number(file, "H", at), _number(file, "H", at + 2)
    count = _number(file, form, at + 4)
    if tag == _MAKE:
        return tag, (1,)
    n_place = struct.calcsize(form)
    place = at + 4 + n_place
    if kind not in _TYPES or not 0 < count <= _MAX_VALUES:
        return tag, ()
    n_bytes = count * struct.calcsize("=" + _TYPES[kind])
    if n_bytes > n_place:
        place = _number(file, form, place)
    part = file.data[place : place + n_bytes]
    if len(part) < n_bytes:
        return tag, ()
    return tag, struct.unpack(f"{file.order}{count}{_TYPES[kind]}", part)


def _others(
    file: _File, first: Mapping[int, tuple[int, ...]], following: int
) -> Iterator[Mapping[int, tuple[int, ...]]]:
    """Yield the pictures below the first one; if that is a part, those after it too."""
    for start in first.get(_SUB_PAGES, ())[:_MAX_SUB_PAGES]:
        tags, _ = _directory(file, start)
        if tags is not None:
            yield tags
    if not _is_part(first):
        return
    for _ in range(_MAX_PAGES):
        tags, following = _directory(file, following)
        if tags is None:
            return
        yield tags


def _is_part(tags: Mapping[int, tuple[int, ...]]) -> bool:
    kind = tags.get(_SUBFILE, (0,))[0]
    return bool(kind & (_REDUCED | _MASK)) or tags.get(_OLD_SUBFILE) == (_OLD_REDUCED,)


def _is_raw(
    data: bytes,
    first: Mapping[int, tuple[int, ...]],
    others: Sequence[Mapping[int, tuple[int, ...]]],
) -> bool:
    """Tell whether a camera wrote what its sensor saw, often behind a small preview."""
    is_marked = data[8:10] == b"CR" or data[8:12] in {b"IIII", b"MMMM"}
    if is_marked or _DNG_VERSION in first:
        return True
    if any(tags.get(_PHOTOMETRIC, (0,))[0] in _RAW for tags in (first, *others)):
        return True
    return _is_part(first) and _MAKE in first and _SUB_PAGES in first


def _head(file: _File, tags: Mapping[int, tuple[int, ...]]) -> TiffHead:
    def one(tag: int, default: int) -> int:
        return tags.get(tag, (default,))[0]

    n_samples = min(max(1, one(_SAMPLES, 1)), _MAX_VALUES)
    photometric = tags.get(_PHOTOMETRIC)
    return TiffHead(
        is_little=file.order == "<",
        is_big=file.is_big,
        width=one(_WIDTH, 0),
        height=one(_HEIGHT, 0),
        depth=one(_DEPTH, 1),
        bits=_of_each(tags.get(_BITS, (1,)), n_samples),
        formats=_of_each(tags.get(_FORMATS, (1,)), n_samples),
        photometric=photometric[0] if photometric else None,
        compression=one(_COMPRESSION, 1),
        planar=one(_PLANAR, 1),
        fill_order=one(_FILL_ORDER, 1),
        orientation=one(_ORIENTATION, 1),
        ink_set=one(_INK_SET, 1),
        extras=tags.get(_EXTRA, ())[:n_samples],
        colour_map=tags.get(_COLOUR_MAP, ()),
        is_part=_is_part(tags),
    )


def _of_each(values: tuple[int, ...], n_samples: int) -> tuple[int, ...]:
    """Return the values of all samples; one that is given alone counts for all."""
    return values * n_samples if len(values) == 1 else values[:n_samples]

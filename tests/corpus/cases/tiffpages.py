"""TIFF of several pages, camera raw, and TIFF whose tags lie."""

from __future__ import annotations

import struct

import numpy as np

from tests.corpus.cases.case import COLOURS, GREYS, SIDE, coloured
from tests.corpus.cases.tiffs import KNOWN, greys_of, picture
from tests.corpus.tiff import BLACK_0, RGB, container, tiff


def _page(samples, photometric, bits=8, **tags):
    height, width, n = samples.shape
    entries = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [bits] * n), (259, 3, [1]),
        (262, 3, [photometric]), (277, 3, [n]), (278, 4, [height]),
    ]  # fmt: skip
    more = [(int(name[1:]), 4, [value]) for name, value in tags.items()]
    return [samples.astype("<u2" if bits == 16 else "u1").tobytes()], entries + more


def _pages():
    whole, black = _page(COLOURS, RGB), _page(COLOURS * 0, RGB)
    small = np.full((4, 4, 3), 90)
    yield picture(
        "two pages",
        container([whole, black]),
        COLOURS,
        before="right",
        known=KNOWN + "; the first one",
    )
    for tag, how in (
        ("t254", "a reduced copy"),
        ("t255", "a reduced copy, by the old tag"),
    ):
        part = _page(small, RGB, **{tag: 1 if tag == "t254" else 2})
        yield picture(f"{how} before the picture", container([part, whole]), COLOURS)
        yield picture(
            f"{how}, the picture below it",
            container([part], sub_pages=[whole]),
            COLOURS,
        )
    yield picture(
        "a mask before the picture",
        container([_page(small, RGB, t254=4), whole]),
        COLOURS,
    )
    sensor = _page(np.full((SIDE, SIDE, 1), 1000), 32803, 16)
    raw = {"known": "the preview in it is not the picture", "reason": "camera raw"}
    yield picture(
        "camera raw, as NEF and DNG",
        container([_page(small, RGB, t254=1)], sub_pages=[sensor]),
        None,
        before="its preview",
        **raw,
    )
    plain = _page(small, RGB)
    dng = container([(plain[0], [*plain[1], (50706, 1, b"\1\4\0\0")])])
    yield picture("camera raw, DNG by its tag", dng, None, **raw)
    maker = (plain[0], [*plain[1], (271, 2, b"NIKON CORPORATION\0"), (254, 4, [1])])
    yield picture(
        "camera raw, by its maker",
        container([maker], sub_pages=[_page(np.full((SIDE, SIDE, 1), 9), BLACK_0, 16)]),
        None,
        **raw,
    )


def _damaged():
    whole = tiff(GREYS[..., None] * 257, bits=16)
    lost = "the strip is not there"
    yield picture(
        "its strips are beyond the end", _altered(whole, 273, 10**6), None, known=lost
    )
    yield picture(
        "its strip is said to be shorter",
        _altered(whole, 279, 100),
        coloured(GREYS),
        allowed=1.01,
        known=KNOWN + "; the samples are there",
    )
    yield picture(
        "12 bit, its strip is said to be shorter",
        _altered(tiff(greys_of(4095), bits=12), 279, 100),
        None,
        known=lost,
    )
    yield picture(
        "no strip", container([([], _page(COLOURS, RGB)[1])]), None, known=lost
    )
    yield picture(
        "its strip is empty",
        container([([b""], _page(COLOURS, RGB)[1])]),
        None,
        known=lost,
    )
    circle = bytearray(whole)
    (start,) = struct.unpack_from("<I", circle, 4)
    (n,) = struct.unpack_from("<H", circle, start)
    struct.pack_into("<I", circle, start + 2 + 12 * n, start)
    yield picture(
        "pages in a circle",
        bytes(circle),
        coloured(GREYS),
        allowed=1.01,
        known=KNOWN + "; the first page is whole",
    )
    yield picture(
        "its directory is beyond the end",
        whole[:4] + struct.pack("<I", 2**31) + whole[8:],
        None,
        known="no picture is in it",
    )
    yield picture(
        "says that it has 2^34 pixels",
        _altered(_altered(whole, 256, 2**17), 257, 2**17),
        None,
        known="the limit of 2^26 pixels",
        reason="pixels|exceeds",
    )
    yield picture(
        "says that it has no column", _altered(whole, 256, 0), None, known="no picture"
    )
    yield picture(
        "no photometric interpretation",
        container([([bytes(256)], _page(GREYS[..., None], 1)[1][:4])]),
        None,
        known="refused (docs/inputs.md)",
    )
    yield picture(
        "a compression that is none",
        _altered(whole, 259, 12345),
        None,
        known="nobody knows it",
    )


def _altered(data, tag, value):
    """Return a file in which a tag of 32 or 16 bits says something else."""
    data = bytearray(data)
    (start,) = struct.unpack_from("<I", data, 4)
    (n,) = struct.unpack_from("<H", data, start)
    for place in range(start + 2, start + 2 + 12 * n, 12):
        found, form = struct.unpack_from("<2H", data, place)
        if found == tag:
            struct.pack_into("<I" if form == 4 else "<H", data, place + 8, value)
    return bytes(data)


PICTURES = (*_pages(), *_damaged())

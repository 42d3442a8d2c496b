"""Members of zip archives: names, links, kinds, and archives that lie."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib

from tests.corpus.archives import (
    ENCRYPTED,
    STREAMED,
    UTF8,
    tar_file,
    zip_file,
)
from tests.corpus.cases.case import NOT_TRIED, Case, Right, Row, flat, plain_png
from tests.corpus.npy import member as packed_member

KNOWN = "names and pictures known before the archive was written from its specification"
UNSAFE, LINK = "unsafe name", "link"


def shown(*rows):
    """Return the rows (name, grey value) that must be stored."""
    return tuple(Row(name=name, pixels=flat(value)) for name, value in rows)


def archive(group, name, suffix, data, right, known=KNOWN, before=NOT_TRIED):  # noqa: PLR0917 - columns of a table
    """Return a case of one file."""

    def make(folder):
        path = folder / f"a{suffix}"
        path.write_bytes(data)
        return path

    return Case(
        group=group, name=name, make=make, right=right, known=known, before=before
    )


def _zip(name, members, rows, skipped=None, known=KNOWN, before=NOT_TRIED, **options):
    right = Right(rows=shown(*rows), skipped=skipped or {})
    return archive(
        "zip", name, ".zip", zip_file(members, **options), right, known, before
    )


def of(name, value=90, **more):
    raw = name if isinstance(name, bytes) else name.encode()
    return {"name": raw, "data": plain_png(value), **more}


GOOD = of("good.png", 33)
STORED = ("good.png", 33)


def _unicode(head, text, version=1):
    content = struct.pack("<BI", version, zlib.crc32(head)) + text.encode()
    return struct.pack("<2H", 0x7075, len(content)) + content


def _names():
    zoe = "Zoé/ñ 写.png"
    yield _zip("names in UTF-8, declared", [of(zoe, flags=UTF8)], [(zoe, 90)])
    yield _zip(
        "names in UTF-8, as the Finder writes them",
        [of(zoe)],
        [(zoe, 90)],
        before="Zo├⌐",
    )
    yield _zip(
        "names in UTF-8, from Windows, not declared",
        [of(zoe, system=0)],
        [(zoe, 90)],
        before="Zo├⌐",
    )
    yield _zip(
        "names in code page 437",
        [of("é.png".encode("cp437"), system=0)],
        [("é.png", 90)],
    )
    yield _zip(
        "names in the extra field of WinRAR",
        [of(b"\x82.png", system=0, extra=_unicode(b"\x82.png", zoe))],
        [(zoe, 90)],
        before="right",
    )
    yield _zip(
        "an extra field of another name",
        [of(b"\x82.png", system=0, extra=_unicode(b"x", zoe))],
        [("é.png", 90)],
    )
    yield _zip(
        "names in Latin-1 from Unix",
        [of(b"caf\xe9.png")],
        [("caf\\xe9.png", 90)],
        known=KNOWN + "; as `unzip` leaves them",
    )
    yield _zip(
        "order by bytes, not by letters",
        [
            of(name, k)
            for k, name in enumerate(["b.png", "B.png", "a10.png", "a2.png", "ä.png"])
        ],
        [("B.png", 1), ("a10.png", 2), ("a2.png", 3), ("b.png", 0), ("ä.png", 4)],
    )
    both = ["é.png", "e\u0301.png"]
    yield _zip(
        "one name composed and decomposed",
        [of(name, 50 + k) for k, name in enumerate(both)],
        [(both[1], 51), (both[0], 50)],
        known=KNOWN + "; two names",
    )
    yield _zip(
        "two names that differ in a capital",
        [of("A.png", 1), of("a.png", 2)],
        [("A.png", 1), ("a.png", 2)],
    )
    yield _zip(
        "a line end and a comma in a name", [of('a,\n".png', 9)], [('a,\n".png', 9)]
    )
    yield _zip("a name like a formula", [of("a=1.png", 9)], [("a=1.png", 9)])
    yield _zip("a name of 1000 letters", [of("n" * 1000, 9)], [("n" * 1000, 9)])
    yield _zip(
        "a name of no letters",
        [of("", 9), GOOD],
        [STORED],
        {"": "no name"},
        known="no file can be called so, and nothing could name the row",
    )
    yield _zip(
        "a name with a zero byte",
        [of("a.png\0.exe", 9)],
        [("a.png", 9)],
        known="Python and Info-ZIP end a name there",
    )
    yield _zip(
        "a folder of its own",
        [{"name": b"x/", "data": b""}, of("x/a.png", 9)],
        [("x/a.png", 9)],
    )
    yield _zip(
        "hidden files, and those of macOS",
        [of(".a.png"), of("x/.b.png"), of("__MACOSX/c.png"), GOOD],
        [STORED],
        known="passed over, as in a folder",
    )
    for name in (
        "../a.png",
        "x/../../a.png",
        "/a.png",
        "C:\\a.png",
        "..\\a.png",
        "\\a.png",
    ):
        yield _zip(
            f"the name {name}",
            [of(name), GOOD],
            [STORED],
            {name: UNSAFE},
            known="it points outside the archive",
        )
    yield _zip(
        "two members of one name",
        [of("a.png", 1), GOOD, of("a.png", 2)],
        [("a.png", 2), STORED],
        {"a.png": "replaced"},
        known="the last one, as when it is unpacked",
    )


def _kinds():
    yield _zip(
        "a link",
        [of("a.png", attributes=0o120777 << 16), GOOD],
        [STORED],
        {"a.png": LINK},
    )
    yield _zip(
        "encrypted",
        [of("a.png", flags=ENCRYPTED), GOOD],
        [STORED],
        {"a.png": "encrypted"},
    )
    for method, how in (
        (1, "Shrink"),
        (6, "Implode"),
        (9, "Deflate64"),
        (93, "Zstandard"),
        (98, "PPMd"),
    ):
        yield _zip(
            f"packed by {how}",
            [of("a.png", method=method), GOOD],
            [STORED],
            {"a.png": "method"},
            known="no decoder is there",
        )
    data = plain_png(90)
    body = lzma.compress(
        data, lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": 2**16}]
    )
    head = struct.pack("<2BHBI", 9, 4, 5, 93, 2**16)
    for method, packed, how in (
        (8, packed_member("a", data, is_packed=True)["packed"], "Deflate"),
        (12, bz2.compress(data), "bzip2"),
        (14, head + body, "LZMA"),
    ):
        yield _zip(
            f"packed by {how}",
            [of("a.png", method=method, packed=packed)],
            [("a.png", 90)],
        )
        half = packed[: len(packed) // 2]
        yield _zip(
            f"packed by {how}, half of it",
            [of("a.png", method=method, packed=half), GOOD],
            [STORED],
            {"a.png": "damaged"},
            known="not whole",
        )
    yield _zip(
        "sizes behind the member (streamed)",
        [of("a.png", flags=STREAMED)],
        [("a.png", 90)],
    )
    yield _zip(
        "sizes of 64 bits", [of("a.png"), GOOD], [("a.png", 90), STORED], is_64=True
    )
    yield _before()
    yield _zip("a comment", [of("a.png")], [("a.png", 90)], comment=b"said" * 99)
    like_an_end = zip_file([of("a.png")], comment=b"PK\5\6" + bytes(30))
    none = Right(rows=None, reason="no images")
    yield archive(
        "zip",
        "a comment like an end",
        ".zip",
        like_an_end,
        none,
        "the last mark counts: unzip finds it empty too",
    )
    yield _zip(
        "a gap before the directory", [of("a.png")], [("a.png", 90)], gap=bytes(500)
    )


def _before():
    data = zip_file([of("a.png")], before=b"#!/bin/sh\n" * 99)
    return archive(
        "zip",
        "bytes before it, places counted from the file",
        ".zip",
        data,
        Right(rows=shown(("a.png", 90))),
    )


def _zip_lies():
    data = plain_png(90)
    damaged = {"a.png": "damaged"}
    yield archive(
        "zip",
        "bytes before it, places counted from the archive",
        ".zip",
        b"MZ" + bytes(998) + zip_file([of("a.png")]),
        Right(rows=shown(("a.png", 90))),
        KNOWN + "; as a self-extracting archive",
    )
    yield _zip(
        "its CRC-32 is another",
        [of("a.png", crc=1), GOOD],
        [STORED],
        damaged,
        known="its sum tells",
    )
    for n, how in (
        (len(data) - 1, "less"),
        (len(data) + 1, "more"),
        (0, "nothing"),
        (2**32 - 2, "4 GiB"),
    ):
        yield _zip(
            f"a size of {how} than it has"
            if how in ("less", "more")
            else f"a size of {how}",
            [of("a.png", n_bytes=n), GOOD],
            [STORED],
            {"a.png": "damaged|times its size|larger than"},
            known="not of its size",
        )
    yield _zip(
        "another name in its own header",
        [of("a.png", own_name=b"evil.png"), GOOD],
        [STORED],
        damaged,
        known="which is right is not known",
    )
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(bytes(2**26)) + bomb.flush()
    yield _zip(
        "64 MiB of zeros in 64 kB",
        [
            {
                "name": b"a.png",
                "data": bytes(9),
                "packed": packed,
                "method": 8,
                "n_bytes": 2**26,
            },
            GOOD,
        ],
        [STORED],
        {"a.png": "times its size"},
        known="a bomb",
    )
    inner = zip_file([of("b.png")])
    yield _zip(
        "an archive in it",
        [{"name": b"a.zip", "data": inner}, GOOD],
        [STORED],
        {"a.zip": "."},
        known="only pictures are read",
    )
    whole = zip_file([of("a.png"), GOOD])
    none = Right(rows=None, reason=".")
    yield archive(
        "zip", "cut short", ".zip", whole[:-30], none, "its directory is not whole"
    )
    yield archive(
        "zip",
        "the first half of it",
        ".zip",
        whole[: len(whole) // 2],
        none,
        "it has no directory",
    )
    yield archive("zip", "no member", ".zip", zip_file([]), none, "no picture is in it")
    yield archive("zip", "no byte", ".zip", b"", none, "no archive")
    yield archive(
        "zip", "a picture by another name", ".zip", plain_png(9), none, "no archive"
    )
    yield archive(
        "zip",
        "a tar by another name",
        ".zip",
        tar_file([{"name": b"a.png", "data": data}]),
        none,
        "no zip archive",
    )
    yield archive(
        "zip",
        "no member that is a picture",
        ".zip",
        zip_file([{"name": b"a.txt", "data": b"hello"}]),
        none,
        "no picture is in it",
    )
    where = whole.index(b"PK\1\2")
    bad = whole[:where] + b"PK\1\3" + whole[where + 4 :]
    yield archive(
        "zip",
        "a directory without its mark",
        ".zip",
        bad,
        none,
        "the directory is damaged",
    )
    yield archive(
        "zip",
        "a place beyond the end",
        ".zip",
        whole[: where + 42] + struct.pack("<I", 10**6) + whole[where + 46 :],
        Right(rows=shown(STORED), skipped=damaged),
        "nothing is there",
    )
    yield archive(
        "zip",
        "the last byte missing in the middle",
        ".zip",
        whole[:60] + whole[61:],
        Right(rows=None, reason="."),
        "places are off by one: refused, or nothing wrong is stored",
    )


CASES = (*_names(), *_kinds(), *_zip_lies())

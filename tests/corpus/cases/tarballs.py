"""Members of tar archives: names, links, kinds, and archives that lie."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct

import numpy as np

from tests.corpus import archives
from tests.corpus.archives import (
    DEVICE,
    FIFO,
    FOLDER,
    HARD,
    SOFT,
    tar_file,
    tar_member,
    zip_file,
)  # fmt: skip
from tests.corpus.bitmaps import bmp
from tests.corpus.cases.case import NOT_TRIED, Right, plain_png
from tests.corpus.cases.members import KNOWN, LINK, STORED, UNSAFE, archive, of, shown


def _tar(name, members, rows, skipped=None, known=KNOWN, before=NOT_TRIED, **options):
    right = Right(rows=shown(*rows), skipped=skipped or {})
    return archive(
        "tar", name, ".tar", tar_file(members, **options), right, known, before
    )


TGOOD = {"name": b"good.png", "data": plain_png(33)}


def _file(name, value=90, **more):
    return {
        "name": name.encode() if isinstance(name, str) else name,
        "data": plain_png(value),
        **more,
    }


def _tars():
    a = _file("a.png")
    rows = [("a.png", 90), STORED]
    yield _tar(
        "a hard link",
        [a, {"name": b"b.png", "kind": HARD, "target": b"a.png"}],
        [("a.png", 90), ("b.png", 90)],
        before="skipped",
    )
    yield _tar(
        "a hard link to what comes later",
        [{"name": b"b.png", "kind": HARD, "target": b"a.png"}, a],
        [("a.png", 90)],
        {"b.png": LINK},
        known="tar cannot unpack it",
    )
    yield _tar(
        "a hard link with content of its own (pax)",
        [
            a,
            {
                "name": b"b.png",
                "kind": HARD,
                "target": b"a.png",
                "data": b"",
                "size": 0,
            },
            TGOOD,
        ],
        [("a.png", 90), ("b.png", 90), STORED],
    )
    yield _tar(
        "a symbolic link",
        [a, {"name": b"x/b.png", "kind": SOFT, "target": b"../a.png"}],
        [("a.png", 90), ("x/b.png", 90)],
        before="skipped",
    )
    yield _tar(
        "a symbolic link that leads outside",
        [a, {"name": b"b.png", "kind": SOFT, "target": b"../../etc/passwd"}],
        [("a.png", 90)],
        {"b.png": LINK},
    )
    yield _tar(
        "links in a circle",
        [
            a,
            {"name": b"b.png", "kind": SOFT, "target": b"c.png"},
            {"name": b"c.png", "kind": SOFT, "target": b"b.png"},
        ],
        [("a.png", 90)],
        {"b.png": LINK, "c.png": LINK},
    )
    yield _tar(
        "devices and pipes",
        [{"name": b"b.png", "kind": DEVICE}, {"name": b"c.png", "kind": FIFO}, a],
        [("a.png", 90)],
        {"b.png": "device", "c.png": "device"},
    )
    yield _tar(
        "folders",
        [{"name": b"x/", "kind": FOLDER}, _file("x/a.png")],
        [("x/a.png", 90)],
    )
    yield _tar(
        "of 1979, without a mark", [_file("a.png", is_old=True)], [("a.png", 90)]
    )
    yield _tar("a contiguous file", [_file("a.png", kind=b"7")], [("a.png", 90)])
    yield _tar(
        "a kind that nobody knows",
        [_file("a.png", kind=b"Q"), TGOOD],
        rows,
        known="GNU tar unpacks it as a plain file, and warns",
    )
    yield _tar(
        "a tape's name, and a part of a file from another tape",
        [{"name": b"tape", "kind": b"V"}, _file("a.png", kind=b"M"), TGOOD],
        [STORED],
        {"tape": "record", "a.png": "record"},
        known="GNU tar's records of its own; such a part is no whole file",
    )
    yield _tar(
        "two members of one name",
        [_file("a.png", 1), TGOOD, _file("a.png", 2)],
        [("a.png", 2), STORED],
        {"a.png": "replaced"},
        known="the last one, as when it is unpacked",
    )
    yield _tar(
        "names from here (./a.png)",
        [_file("./a.png"), {"name": b"./good.png", "data": plain_png(33)}],
        rows,
    )
    for name in ("../a.png", "/a.png", "x/../../a.png"):
        yield _tar(
            f"the name {name}",
            [_file(name), TGOOD],
            [STORED],
            {name: UNSAFE},
            known="it points outside the archive",
        )


def _headers():
    a = _file("a.png")
    rows = [("a.png", 90), STORED]
    long = "n" * 300 + ".png"
    yield _tar(
        "a long name of GNU",
        [
            {"name": b"././@LongLink", "data": long.encode() + b"\0", "kind": b"L"},
            _file("n" * 99),
        ],
        [(long, 90)],
    )
    yield _tar(
        "a long name of pax",
        [_file("short", pax={b"path": "é/".encode() + long.encode()})],
        [("é/" + long, 90)],
    )
    yield _tar("a name in Latin-1", [_file(b"caf\xe9.png")], [("caf\\xe9.png", 90)])
    yield _tar(
        "a comment of pax", [_file("a.png", pax={b"comment": b"x" * 5000}), TGOOD], rows
    )
    glob = {
        "name": b"g",
        "data": archives.pax_records({b"comment": b"0123"}),
        "kind": b"g",
    }
    yield _tar("a global header, as of git archive", [glob, a, TGOOD], rows)
    n = len(a["data"])
    yield _tar(
        "a size of pax",
        [_file("a.png", size=0, pax={b"size": b"%d" % n}), TGOOD],
        rows,
        known=KNOWN + "; pax counts",
    )
    base = b"\x80" + bytes(7) + struct.pack(">I", n)
    yield _tar("a size in 256s, as of star", [_file("a.png", size=base), TGOOD], rows)
    label = {"name": b"my tape", "kind": b"V"}
    yield _tar(
        "a label of GNU",
        [label, a, TGOOD],
        rows,
        {"my tape": "."},
        known=KNOWN + "; a label is no file",
    )
    holes = bmp([bytes(48)] * 16, (16, 16), 24)
    yield _tar(
        "one file of zeros",
        [{"name": b"a.bmp", "data": holes}, TGOOD],
        [("a.bmp", 0), STORED],
    )


def _tar_lies():
    none = Right(rows=None, reason=".")
    data = plain_png(90)
    two = [{"name": b"a.png", "data": data}, TGOOD]
    whole = tar_file(two)
    both = Right(rows=shown(("a.png", 90), STORED))
    rows = [tar_member(**one) for one in two]
    for name, suffix, made, right, known in (
        ("no end mark", ".tar", rows[0] + rows[1], none, "it may have been cut between two members"),
        ("one block of end mark", ".tar", rows[0] + rows[1] + bytes(512), both, "GNU tar reads it, and says so"),
        ("cut within a member", ".tar", whole[:700], none, "not whole"),
        ("cut within a header", ".tar", whole[: len(rows[0]) + 100], none, "not whole"),
        ("a sum that is another", ".tar", tar_member(**two[0], checksum=1) + rows[1] + bytes(1024), none, "the header is damaged"),
        ("a sum that is another, in the second member", ".tar", rows[0] + tar_member(**two[1], checksum=1) + bytes(1024), none, "the header is damaged"),
        ("a size of 2^33", ".tar", tar_member(b"a.png", data, size=b"77777777777\0") + bytes(1024), none, "it is not so long"),
        ("a size below 0", ".tar", tar_member(b"a.png", data, size=b"\xff" * 12) + bytes(1024), none, "no file is"),
        ("a size that is no number", ".tar", tar_member(b"a.png", data, size=b"many\0\0\0\0\0\0\0\0") + rows[1] + bytes(1024), none, "the header is damaged"),
        ("zeros between two members", ".tar", rows[0] + bytes(1024) + rows[1] + bytes(1024), Right(rows=shown(("a.png", 90))), "two blocks of zeros are the end, as for tar"),
        ("a long name of 1 GB", ".tar", tar_member(b"././@LongLink", b"", kind=b"L", size=2**30) + rows[0] + bytes(1024), none, "no name is"),
        ("a long name for nothing", ".tar", tar_member(b"././@LongLink", b"x\0", kind=b"L") + bytes(1024), none, "nothing follows"),
        ("500 long names in a row", ".tar", tar_member(b"././@LongLink", b"x\0", kind=b"L") * 500 + rows[0] + bytes(1024), none, "a chain without end"),
        ("records of pax without their lengths", ".tar", tar_member(b"x", b"path=a\n", kind=b"x") + rows[0] + bytes(1024), Right(rows=shown(("a.png", 90))), "the file's own header is whole; GNU tar takes it"),
        ("no member", ".tar", bytes(10240), none, "no picture is in it"),
        ("no byte", ".tar", b"", none, "no archive"),
        ("a picture by another name", ".tar", plain_png(9), none, "no archive"),
        ("a zip by another name", ".tar", zip_file([of("a.png")]), none, "no tar archive"),
        ("a gzip by another name", ".tar", gzip.compress(whole, mtime=0), none, "no plain tar archive"),
        ("a plain one called .tar.gz", ".tar.gz", whole, none, "no gzip"),
        ("gzip", ".tar.gz", gzip.compress(whole, mtime=0), both, KNOWN),
        ("gzip in two parts", ".tgz", gzip.compress(whole[:700], mtime=0) + gzip.compress(whole[700:], mtime=0), both, KNOWN),
        ("gzip, zeros behind it", ".tar.gz", gzip.compress(whole, mtime=0) + bytes(512), both, KNOWN),
        ("gzip, cut short", ".tar.gz", gzip.compress(whole, mtime=0)[:-9], none, "not whole"),
        ("gzip, one bit altered", ".tar.gz", _flipped(gzip.compress(np.random.default_rng(0).bytes(999) + whole, 0, mtime=0)), none, "its sum tells"),
        ("bzip2", ".tar.bz2", bz2.compress(whole), both, KNOWN),
        ("bzip2, cut short", ".tar.bz2", bz2.compress(whole)[:-9], none, "not whole"),
        ("xz", ".tar.xz", lzma.compress(whole), both, KNOWN),
        ("xz, cut short", ".tar.xz", lzma.compress(whole)[:-9], none, "not whole"),
        ("xz called .tar.gz", ".tar.gz", lzma.compress(whole), none, "no gzip"),
    ):  # fmt: skip
        yield archive("tar", name, suffix, made, right, known)


def _flipped(data):
    return data[:600] + bytes([data[600] ^ 1]) + data[601:]


CASES = (*_tars(), *_headers(), *_tar_lies())

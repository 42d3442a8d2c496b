from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import subprocess
import tracemalloc
import warnings
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowmem.base.errors import DataError
from lowmem_jobs.ingest.catalog import Catalog
from lowmem_jobs.ingest.entries import Entry, name_bytes, printable
from lowmem_jobs.ingest.unreadable import UnreadableError
from lowmem_jobs.ingest.zips import list_zip, packed_reader, unpacked

METHODS = [
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
    zipfile.ZIP_BZIP2,
    zipfile.ZIP_LZMA,
]


def write(path, members, *, before=b"", comment=b"", large=False):
    """Write an archive as the standard library does; members: (name, data, method)."""
    stream = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),
        zipfile.ZipFile(stream, "w") as archive,
    ):
        archive.comment = comment
        for name, data, method in members:
            member = zipfile.ZipInfo(name)
            member.compress_type = method
            with archive.open(member, "w", force_zip64=large) as target:
                target.write(data)
    path.write_bytes(before + stream.getvalue())
    return path


def read_all(path):
    """Return (name, content or reason) of every member, by lowmem's own reader."""
    with path.open("rb") as stream:
        entries = list(list_zip(path, stream))
        read = packed_reader(path, stream)
        return [(entry.name, outcome(read, entry)) for entry in entries]


def outcome(read, entry):
    if entry.problem:
        return entry.problem
    try:
        return unpacked(entry, read(entry))
    except UnreadableError as error:
        return str(error)


NAMES = st.text(
    st.characters(exclude_characters="/\\.:\0", exclude_categories=("Cs",)), min_size=1
).filter(lambda name: name != "__MACOSX")
MEMBERS = st.lists(st.tuples(NAMES, st.binary(max_size=300), st.sampled_from(METHODS)))
# The standard library takes a mark within a comment for the end of the directory.
COMMENTS = st.binary(max_size=40).filter(lambda comment: b"PK" not in comment)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(MEMBERS, st.binary(max_size=40), COMMENTS, st.booleans())
def test_any_archive_reads_as_the_standard_library_reads_it(
    tmp_path_factory, members, before, comment, large
):
    path = tmp_path_factory.mktemp("zips") / "a.zip"
    write(path, members, before=before, comment=comment, large=large)
    with zipfile.ZipFile(path) as archive:
        expected = [(m.filename, archive.read(m)) for m in archive.infolist()]
    assert read_all(path) == expected


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_altered_bit_yields_other_content_than_was_packed(tmp_path_factory, data):
    contents = {f"{i}": bytes([i]) * 50 + bytes(range(60)) for i in range(4)}
    members = [
        (name, content, METHODS[i])
        for i, (name, content) in enumerate(contents.items())
    ]
    path = write(tmp_path_factory.mktemp("zips") / "a.zip", members, comment=b"c")
    altered = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, 8 * len(altered) - 1), min_size=1)):
        altered[place // 8] ^= 1 << place % 8
    cut = data.draw(st.integers(0, len(altered) // 4))
    path.write_bytes(altered[: len(altered) - cut])
    try:
        found = read_all(path)
    except DataError as error:
        assert "copy it again" in str(error)  # noqa: PT017 - either way is right
        return
    for _, content in found:
        assert isinstance(content, str) or content in contents.values()


def test_a_declared_size_is_never_taken_on_trust(tmp_path):
    path = write(tmp_path / "a.zip", [("a", bytes(5000), zipfile.ZIP_DEFLATED)])
    data = path.read_bytes()
    directory = data.find(b"PK\x01\x02")
    for size in (10, 4999, 5001):
        claimed = bytearray(data)
        claimed[directory + 24 : directory + 28] = size.to_bytes(4, "little")
        path.write_bytes(claimed)
        ((_, reason),) = read_all(path)
        assert "damaged in the archive" in reason


def test_members_that_are_no_plain_files_are_named_with_the_reason(tmp_path):
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, stat.S_IFLNK << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "elsewhere")
        archive.mkdir("folder")
        archive.writestr("plain", b"data")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    place = data.rfind(b"PK\x01\x02")
    data[place + 10] = 97
    (tmp_path / "a.zip").write_bytes(data)
    assert read_all(tmp_path / "a.zip") == [
        ("link", "a link, which is not followed"),
        ("plain", "compressed by method 97"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 7919], ids=["in order", "in no order"])
def test_sixty_thousand_members_take_hardly_any_memory(tmp_path, step):
    n = 60_000

    def entries():
        for index in range(n):
            number = index * step % n
            yield Entry(name=f"img_align_celeba/{number:06}.jpg", n_bytes=number)

    tracemalloc.start()
    try:
        with Catalog(entries(), tmp_path) as catalog:
            held, peak = tracemalloc.get_traced_memory()
            assert len(catalog) == n
            places = [*range(0, n, 333), n - 1]
            assert [catalog[place].n_bytes for place in places] == places
    finally:
        tracemalloc.stop()
    # All of them as they are kept take 5 MB, as objects 18.
    assert held < 0.1e6
    assert peak < 3e6
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.binary(max_size=2) | st.binary(max_size=6), max_size=40))
def test_entries_are_in_the_byte_order_of_their_names_and_the_last_of_each_counts(
    tmp_path_factory, names
):
    texts = [name.decode("utf-8", "surrogateescape") for name in names]
    entries = [Entry(name=text, n_bytes=i) for i, text in enumerate(texts)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lowmem_jobs.ingest.catalog._RUN_ENTRIES", 4)
        patch.setattr("lowmem_jobs.ingest.catalog._BLOCK_ENTRIES", 2)
        with Catalog(entries, tmp_path_factory.getbasetemp()) as catalog:
            found = [catalog[index] for index in range(len(catalog))]
            backwards = [catalog[index] for index in reversed(range(len(catalog)))]
    assert found == backwards[::-1]
    assert [name_bytes(entry.name) for entry in found] == sorted(names)
    assert sorted(entry.n_bytes for entry in found) == list(range(len(names)))
    last = {name: place for place, name in enumerate(names)}
    for entry in found:
        is_last = last[name_bytes(entry.name)] == entry.n_bytes
        assert is_last == (entry.problem == "")


def test_a_catalog_keeps_all_that_is_known_of_an_entry(tmp_path):
    entries = [
        Entry("a", 1, 2**62, 3, 2**32 - 1, 8, 1_700_000_000, "damaged"),
        Entry(b"caf\xe9".decode("utf-8", "surrogateescape"), problem="café"),
        Entry("z", 2**63 - 1, 0, 0, 0, 0, -1, ""),
    ]
    with Catalog(entries, tmp_path) as catalog:
        assert [catalog[index] for index in range(3)] == entries
        with pytest.raises(IndexError):
            catalog[3]


@pytest.mark.slow
@given(st.binary(min_size=1, max_size=12))
def test_a_name_in_any_bytes_is_read_and_never_fails(tmp_path_factory, raw):
    """Names are written with one letter for each byte, which is then replaced."""
    folder = tmp_path_factory.mktemp("zips")
    for flag in (0, 0x800):
        members = [("n" * len(raw), b"content", zipfile.ZIP_STORED)]
        data = bytearray(write(folder / "a.zip", members).read_bytes())
        directory = data.find(b"PK\x01\x02")
        for start, name_at, flag_at in ((0, 30, 6), (directory, 46, 8)):
            data[start + name_at : start + name_at + len(raw)] = raw
            data[start + flag_at : start + flag_at + 2] = flag.to_bytes(2, "little")
        (folder / "a.zip").write_bytes(data)
        found = read_all(folder / "a.zip")
        assert len(found) <= 1
        for name, content in found:
            printable(name).encode()
            assert content == b"content" or content.startswith("unsafe name")
            if flag and b"\0" not in raw:
                assert name_bytes(name) == raw


def raw_zip(path, members):
    """Write (name, flags, system, extra) as they are, each with the content ``name``."""
    body, directory = io.BytesIO(), io.BytesIO()
    for name, flags, system, extra in members:
        place, n_bytes, crc = body.tell(), len(name), zlib.crc32(name)
        sizes = (0, 33, crc, n_bytes, n_bytes, len(name), len(extra))
        body.write(struct.pack("<4s4H", b"PK\3\4", 20, flags, 0, sizes[0]))
        body.write(struct.pack("<H3I2H", *sizes[1:]) + name + extra + name)
        directory.write(struct.pack("<4s2B3H", b"PK\1\2", 20, system, 20, flags, 0))
        directory.write(struct.pack("<2H3I2H", *sizes))
        directory.write(struct.pack("<3H2I", 0, 0, 0, 0, place) + name + extra)
    end = (len(members), len(members), directory.tell(), body.tell(), 0)
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *end)
    path.write_bytes(body.getvalue() + directory.getvalue() + tail)
    return path


def unicode_path(name, text, *, version=1):
    """Return the extra field that says how a name is spelled: APPNOTE 4.6.9."""
    content = struct.pack("<BI", version, zlib.crc32(name)) + text.encode()
    return struct.pack("<2H", 0x7075, len(content)) + content


TIMES = b"UT\x09\0\3" + bytes(8)  # as Info-ZIP writes before other parts
ZOE = "Zoé/ñ 写真.png"
NAMED = {
    "declared UTF-8": (ZOE.encode(), 0x800, 3, b"", ZOE),
    "UTF-8 of the Finder": (ZOE.encode(), 0, 3, TIMES, ZOE),
    "UTF-8 of a program on Windows": (ZOE.encode(), 0, 0, b"", ZOE),
    "code page 437": ("Zoé.png".encode("cp437"), 0, 0, b"", "Zoé.png"),
    "the extra field": (
        b"Zo_/_ __.png\x82",
        0,
        0,
        TIMES + unicode_path(b"Zo_/_ __.png\x82", ZOE),
        ZOE,
    ),
    "an extra field of another name": (
        b"\x82.png",
        0,
        0,
        unicode_path(b"x", "y"),
        "é.png",
    ),
    "an extra field of another version": (
        b"\x82.png",
        0,
        0,
        unicode_path(b"\x82.png", "y", version=2),
        "é.png",
    ),
    "Latin-1 from Unix": (b"caf\xe9.png", 0, 3, b"", "caf\udce9.png"),
}


@pytest.mark.parametrize("kind", NAMED)
def test_a_name_is_what_the_program_meant_that_wrote_it(tmp_path, kind):
    name, flags, system, extra, right = NAMED[kind]
    path = raw_zip(tmp_path / "a.zip", [(name, flags, system, extra)])
    assert read_all(path) == [(right, name)]


@pytest.mark.skipif(not shutil.which("unzip"), reason="unzip is not installed")
def test_names_are_those_that_unzip_unpacks(tmp_path):
    # What `unzip` makes of a code page depends on the system that it was built for.
    kinds = ("declared UTF-8", "UTF-8 of the Finder", "Latin-1 from Unix")
    members = [
        (b"%d" % number + name, flags, system, b"")
        for number, kind in enumerate(kinds)
        for name, flags, system in [NAMED[kind][:3]]
    ]
    path = raw_zip(tmp_path / "a.zip", members)
    (tmp_path / "out").mkdir()
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    subprocess.run(
        [shutil.which("unzip"), "-q", path],
        cwd=tmp_path / "out",
        env=environment,
        check=True,
    )
    out = tmp_path / "out"
    unpacked_names = {
        os.fsencode(file.relative_to(out)) for file in out.rglob("*") if file.is_file()
    }
    assert {name_bytes(name) for name, _ in read_all(path)} == unpacked_names


# Names as libarchive's `tar` and Compress-Archive write them, and where; as unzip 6.0 and
# bsdtar 3.6 unpack them.
PATHS = [
    ("./cat/1.png", 3, "cat/1.png"),
    ("./1.png", 3, "1.png"),
    ("cat\\1.png", 0, "cat/1.png"),
    ("cat\\tabby\\1.png", 0, "cat/tabby/1.png"),
    # It has a slash: the backslash is a letter of the name.
    ("cat/a\\1.png", 0, "cat/a\\1.png"),
    ("cat\\1.png", 3, "cat\\1.png"),
    ("..a.png", 3, "..a.png"),
]


@pytest.mark.parametrize(("name", "system", "path"), PATHS)
def test_a_member_has_the_path_that_it_is_unpacked_to(tmp_path, name, system, path):
    archive = tmp_path / "a.zip"
    member = zipfile.ZipInfo("x")
    member.filename, member.create_system = name, system
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("./", b"")
        writer.writestr(member, b"data")
    assert read_all(archive) == [(path, b"data")]


def test_a_backslash_leads_outside_no_more_than_a_slash(tmp_path):
    archive = tmp_path / "a.zip"
    member = zipfile.ZipInfo("x")
    member.filename, member.create_system = "..\\a.png", 0
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr(member, b"data")
    ((_, problem),) = read_all(archive)
    assert "outside" in problem

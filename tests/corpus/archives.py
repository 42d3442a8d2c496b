"""Zip and tar archives, byte by byte (APPNOTE 6.3.10; POSIX.1-1988 and pax)."""

from __future__ import annotations

import struct
import zlib

UTF8, STREAMED, ENCRYPTED = 0x800, 8, 1


def zip_file(members, *, before=b"", comment=b"", count=None, gap=b"", is_64=False):
    """Return an archive of members.

    Parameters
    ----------
    members
        Of each: name and data; and packed, method, flags, system, attributes, extra,
        own_name, crc, n_bytes where they are not what they usually are.
    before, gap
        What comes before the first member, and before the directory.
    count
        Of the members, as the end says.
    is_64
        Whether all sizes and places are in fields of 64 bits.
    """
    body, directory = bytearray(before), bytearray()
    for member in members:
        local, listed = _member(member, len(body), is_64=is_64)
        body += local
        directory += listed
    body += gap
    start, n = len(body), len(members) if count is None else count
    end = b""
    if is_64:
        end = struct.pack(
            "<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, n, n, len(directory), start
        )
        end += struct.pack("<4sIQI", b"PK\6\7", 0, start + len(directory), 1)
    n = min(n, 65535)
    last = struct.pack(
        "<4s4H2IH", b"PK\5\6", 0, 0, n, n, len(directory), start, len(comment)
    )
    if is_64:
        last = struct.pack(
            "<4s4H2IH",
            b"PK\5\6",
            0,
            0,
            65535,
            65535,
            2**32 - 1,
            2**32 - 1,
            len(comment),
        )
    return bytes(body + directory + end + last) + comment


def _member(member, place, *, is_64):
    name, data = member["name"], member["data"]
    packed = member.get("packed", data)
    method, flags = member.get("method", 0), member.get("flags", 0)
    system, attributes = (
        member.get("system", 3),
        member.get("attributes", 0o100644 << 16),
    )
    crc, n_bytes = member.get("crc", zlib.crc32(data)), member.get("n_bytes", len(data))
    extra, own_name = member.get("extra", b""), member.get("own_name", name)
    sizes = (len(packed), n_bytes)
    own = (crc, *sizes)
    after = b""
    if flags & STREAMED:
        own = (0, 0, 0)
        after = b"PK\7\x08" + struct.pack("<3I", crc, *sizes)
    listed_extra = extra
    if is_64:
        listed_extra += struct.pack("<2H3Q", 1, 24, n_bytes, len(packed), place)
        sizes, place = (2**32 - 1, 2**32 - 1), 2**32 - 1
    local = struct.pack(
        "<4s5H3I2H",
        b"PK\3\4",
        20,
        flags,
        method,
        0,
        33,
        *own,
        len(own_name),
        len(extra),
    )
    listed = struct.pack(
        "<4s2B5H3I5H2I", b"PK\1\2", 20, system, 20, flags, method, 0, 33, crc, *sizes,
        len(name), len(listed_extra), 0, 0, 0, attributes, place,
    )  # fmt: skip
    return local + own_name + extra + packed + after, listed + name + listed_extra


REGULAR, HARD, SOFT, DEVICE, FOLDER, FIFO, CONTIGUOUS = (
    b"0",
    b"1",
    b"2",
    b"3",
    b"5",
    b"6",
    b"7",
)


def tar_file(members, *, end=bytes(1024)):
    """Return an archive of members, each by the words of `tar_member`."""
    return b"".join(tar_member(**member) for member in members) + end


def tar_member(
    name,
    data=b"",
    *,
    kind=REGULAR,
    target=b"",
    size=None,
    pax=None,
    is_old=False,
    checksum=0,
    above=b"",
    times=None,
):
    """Return one member.

    Parameters
    ----------
    pax
        Records that come before it.
    above
        The first part of a long name, as POSIX has it.
    times
        ``gnu`` or ``star``: where these keep two more times in a header.
    """
    before = (
        b"" if pax is None else tar_member(b"PaxHeaders/x", pax_records(pax), kind=b"x")
    )
    number = len(data) if size is None else size
    length = number if isinstance(number, bytes) else b"%011o\0" % number
    head = bytearray(512)
    for place, field in (
        (0, name), (100, b"0000644\0"), (108, b"0000000\0"), (116, b"0000000\0"), (124, length),
        (136, b"00000000000\0"), (148, b" " * 8), (156, b"\0" if is_old else kind), (157, target),
    ):  # fmt: skip
        head[place : place + len(field)] = field
    if not is_old:
        head[257:265] = b"ustar\x0000"
    head[345 : 345 + len(above)] = above
    if times is not None:
        place = {"gnu": 345, "star": 476}[times]
        head[place : place + 24] = b"%011o\0" % 1_700_000_000 * 2
        head[257:265] = b"ustar  \0" if times == "gnu" else b"ustar\x0000"
        head[508:512] = b"tar\0" if times == "star" else bytes(4)
    head[148:156] = b"%06o\0 " % (sum(head) + checksum)
    return before + bytes(head) + data + bytes(-len(data) % 512)


def pax_records(records):
    """Return records of names and values (POSIX.1-2001, pax)."""
    lines = b""
    for name, value in records.items():
        text = b" %s=%s\n" % (name, value)
        n = len(text) + 1
        while len(b"%d" % n) + len(text) != n:
            n += 1
        lines += b"%d%s" % (n, text)
    return lines

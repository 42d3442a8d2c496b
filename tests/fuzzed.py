"""Bytes as nobody meant them, for every parser of what comes from outside.

Each case begins with a whole sample and spoils it: bytes are flipped, cut, doubled and
overwritten by what parsers trip over; JSON has values of its tree replaced. What carries
a checksum is sealed again, else all that lies behind the checksum would never be tried.
Only lowmem's own parsers are called, and libraries that answer by an exception.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import tarfile
import zipfile
from dataclasses import dataclass
from math import prod
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import zarr
from hypothesis import strategies as st

from lowmem.base.config import read_config
from lowmem.base.containment import refuse_foreign
from lowmem.base.errors import DataError, LowmemError
from lowmem.base.journal import body_from_line, line_from_body
from lowmem.base.outside import BAD_JSON
from lowmem.base.redo_log import finish_placing, tree_in
from lowmem.base.workspace import Workspace
from lowmem.checkpoints.generations import examine, generation_path
from lowmem.checkpoints.manifest import MANIFEST, Manifest, bytes_from_manifest
from lowmem.history.fold import history_of
from lowmem.history.recorded import read_records
from lowmem.integrity.stores import check_store
from lowmem.mapping.map_source import find_source
from lowmem.mirror.archive import ArchiveWriter, DamagedArchiveError, members
from lowmem.mirror.leftovers import Leftovers
from lowmem.mirror.names import (
    About,
    Contents,
    Entry,
    Ok,
    archive_name,
    bytes_from_contents,
    contents_from_bytes,
    decoded,
    is_safe,
)
from lowmem.pipeline.orders import RunOptions, with_config
from lowmem.protocol import messages
from lowmem.protocol.mirror_messages import Durable, mirror_answer_from_line
from lowmem.repair.check import verify
from lowmem.repair.journal_lines import read_lines
from lowmem.report.read import read_report
from lowmem.report.readings import read_telemetry
from lowmem.report.status import text_from_statuses
from lowmem.report.text import text_from_report
from lowmem.report.write import write_page
from lowmem.stores.layout import find_layout
from lowmem.stores.mapped import mapped_array
from lowmem.stores.metadata import fingerprint, read_array_info
from lowmem.stores.row_reader import RowReader
from lowmem.supervisor.lock import is_held
from lowmem_jobs.analyze.vector_header import read_npy_shape
from lowmem_jobs.ingest.arrays import open_npy, open_npz
from lowmem_jobs.ingest.existing_store import read_before
from lowmem_jobs.ingest.fits import open_fits
from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.image_decoder import Decoder
from lowmem_jobs.ingest.jpeg2000 import head_of_jpeg2000
from lowmem_jobs.ingest.jpegxl import size_of_jpegxl
from lowmem_jobs.ingest.report import entries_before
from lowmem_jobs.ingest.tars import list_tar
from lowmem_jobs.ingest.tiff_tags import read_heads
from lowmem_jobs.ingest.tiffs import is_right_with_pillow, title
from lowmem_jobs.ingest.unreadable import UnreadableError
from lowmem_jobs.ingest.zips import list_zip, packed_reader, unpacked
from tests.corpus.tiff import tiff
from tests.report_examples import START, killed_and_retried, write_journal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# Right answers to bad bytes: a sentence with an exit code, or what a caller turns into one.
_PICTURE = (UnreadableError,)
_JSON = BAD_JSON
# What no bytes may bring about, although `LowmemError` has it as a class.
WRONG_CODES = frozenset({70, 74})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """One reader of bytes from outside.

    Attributes
    ----------
    samples
        Whole inputs.
    parse
        Reads one, in an empty folder of its own.
    allowed
        What it may raise beside lowmem's errors of bad data and wrong usage.
    """

    name: str
    samples: tuple[bytes, ...]
    parse: Callable[[bytes, Path], object]
    allowed: tuple[type[BaseException], ...] = ()
    is_json: bool = False


def fault(parser: Parser, data: bytes, folder: Path) -> BaseException | None:
    """Return what a parser raised that it may not; None if all is well."""
    try:
        parser.parse(data, folder)
    except parser.allowed:
        return None
    except LowmemError as error:
        return error if error.exit_code in WRONG_CODES else None
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return error
    return None


# --- spoiling ---------------------------------------------------------------------

TOKENS = (
    [b"", b"\0", b"\xff", b"\n", b"[" * 300, b"{" * 300, b'"', b"NaN", b"1e999"]
    + [b"-1", b"0", b"9" * 400, b"null", b"true", b"../", b"\\ud800", b"\xed\xa0\x80"]
    + [value.to_bytes(8, "little") for value in (0, 1, 2**31, 2**63, 2**64 - 1)]
    + [value.to_bytes(4, "big") for value in (2**31 - 1, 2**31, 2**32 - 1)]
)
PLAIN: list[Any] = [
    *(None, True, False, "", "a", "../x", "\x1b[31m", "9999-99-99", "=1+1", "a" * 5000),
    *(0, -1, 1, 7, 2**31, 2**63, 2**64, 10**400, 0.5, 1e308, -1e308, "NaN", "\ud800"),
    *([], {}, [[]], {"a": {}}),
]


def spoilt(parser: Parser) -> st.SearchStrategy[bytes]:
    """Return samples of a parser with some of them spoilt.

    One draw decides all: some hundred draws would take longer than most parsers.
    """
    return st.integers(0, 2**63).map(lambda seed: _spoilt(parser, Random(seed)))  # noqa: S311


def _spoilt(parser: Parser, draw: Random) -> bytes:
    sample = draw.choice(parser.samples)
    if parser.is_json and draw.random() < 0.7:
        return _spoilt_tree(sample, draw)
    data = bytearray(sample)
    for _ in range(draw.randint(1, 4)):
        _spoil(data, draw)
    return bytes(data)


def _spoil(data: bytearray, draw: Random) -> None:
    at = draw.randint(0, len(data))
    length = draw.choice([0, 1, 1, 2, 4, 8, 40, 512])
    match draw.choice(["flip", "flip", "put", "put", "cut", "end", "twice"]):
        case "flip" if at < len(data):
            data[at] ^= 1 << draw.randint(0, 7)
        case "put":
            token = draw.choice(TOKENS)
            data[at : at + (len(token) if draw.random() < 0.5 else 0)] = token
        case "cut":
            del data[at : at + length]
        case "end":
            del data[at:]
        case _:
            data[at:at] = data[at : at + length]


def _spoilt_tree(sample: bytes, draw: Random) -> bytes:
    """Replace some values of a JSON document."""
    document = json.loads(sample)
    for _ in range(draw.randint(1, 3)):
        places = list(_places(document))
        if not places:
            break
        holder, key = draw.choice(places)
        if isinstance(holder, dict) and draw.randint(0, 4) == 0:
            del holder[key]
        else:
            holder[key] = _value(draw, 3)
    return json.dumps(document).encode()


def _value(draw: Random, levels: int) -> Any:
    """Return a JSON value, mostly a plain one."""
    kind = draw.randint(0, 7) if levels else 7
    if kind == 0:
        return [_value(draw, levels - 1) for _ in range(draw.randint(0, 3))]
    if kind == 1:
        return {draw.choice("abc"): _value(draw, levels - 1) for _ in range(2)}
    return draw.randint(-100, 100) if kind == 2 else copy.deepcopy(draw.choice(PLAIN))


def _places(node: object) -> Any:
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from _places(node[key])


# --- parsers ----------------------------------------------------------------------


def _space(folder: Path) -> Workspace:
    space = Workspace(folder / "w")
    space.private.mkdir(parents=True, exist_ok=True)
    return space


def _journal_bodies(folder: Path) -> list[bytes]:
    space = _space(folder)
    write_journal(space, killed_and_retried())
    lines = space.journal.read_bytes().splitlines(keepends=True)
    return [body for body in map(body_from_line, lines) if body is not None]


def _report_of(space: Workspace, *, has_page: bool) -> None:
    report = read_report(space, is_live=False)
    text_from_report(report, has_all_cycles=True)
    text_from_statuses(report)
    if has_page:
        write_page(space, is_live=False, now=START, target=space.root / "page.html")


def _journal(data: bytes, folder: Path) -> None:
    """Read a journal as every command does."""
    space = _space(folder)
    space.journal.write_bytes(data)
    history_of(read_lines(space.journal).records)
    verify(space)
    _report_of(space, has_page=False)


def _records(bodies: list[bytes]) -> Callable[[bytes, Path], None]:
    """Return what reads whole lines of which one is spoilt and sealed again."""

    def parse(data: bytes, folder: Path) -> None:
        own = (
            json.loads(data).get("type") if data[:1] == b"{" and _is_json(data) else ""
        )
        kinds = [json.loads(body)["type"] for body in bodies]
        at = kinds.index(own) if own in kinds else len(bodies) - 1
        lines = [*bodies[:at], data.replace(b"\n", b" "), *bodies[at + 1 :]]
        space = _space(folder)
        # With the readings, of which the page draws its charts.
        write_journal(space, killed_and_retried())
        space.journal.write_bytes(b"".join(map(line_from_body, lines)))
        list(read_records(space.journal))
        # A page takes a hundred times as long as all the rest.
        _report_of(space, has_page=len(data) % 16 == 0)
        verify(space)

    return parse


def _is_json(data: bytes) -> bool:
    try:
        return isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return False


def _manifest_body() -> bytes:
    cycle = messages.Cycle(
        index=0,
        items=1,
        started_at="2026-11-22T10:00:00Z",
        seconds=1.0,
        commit_seconds=0.1,
        settings={"block": 4},
    )
    manifest = Manifest(
        generation=0, recipe={"seed": 1}, cycle=cycle, state={"done": [1, {"a": 2}]}
    )
    return bytes_from_manifest(manifest).partition(b"\n")[2]


def _manifest(data: bytes, folder: Path) -> None:
    body = data.removesuffix(b"\n")
    head = b"lowmem-manifest " + hashlib.sha256(body).hexdigest().encode()
    space = _space(folder)
    generation = generation_path(space.checkpoints("job"), 0)
    generation.mkdir(parents=True, exist_ok=True)
    (generation / MANIFEST).write_bytes(head + b"\n" + body + b"\n")
    examine(generation)
    verify(space)


def _store(folder: Path, file: str, zarr_format: int, **layout: object) -> bytes:
    """Make a store, and return one of its files."""
    array = zarr.create_array(
        folder / "s.zarr/images",
        shape=(8, 4, 4, 3),
        dtype="u1",
        zarr_format=zarr_format,
        overwrite=True,
        **layout,
    )
    array[:] = np.arange(384, dtype=np.uint8).reshape(8, 4, 4, 3)
    array.attrs["scale_factor"] = 0.5
    if zarr_format == 3:
        (folder / "s.zarr/zarr.json").write_text(
            '{"zarr_format": 3, "node_type": "group", "attributes": {"format": '
            '"lowmem-images", "content_sha256": "0", "sources": [{"images": 8}]}}'
        )
    return (folder / "s.zarr" / file).read_bytes()


def _zarr(
    file: str, zarr_format: int, **layout: object
) -> Callable[[bytes, Path], None]:
    def parse(data: bytes, folder: Path) -> None:
        store = folder / "s.zarr"
        if not store.exists():
            _store(folder, file, zarr_format, **layout)
        (store / file).write_bytes(data)
        fingerprint(store)
        for call in (_info, _rows, _layout, check_store, read_before):
            try:
                call(store)
            except LowmemError as error:
                if error.exit_code in WRONG_CODES:
                    raise

    return parse


def _info(store: Path) -> None:
    read_array_info(store / "images")


def _layout(store: Path) -> None:
    find_layout(store / "images")


def _rows(store: Path) -> None:
    with RowReader.open(store, "images", unpack=True) as reader:
        # What takes memory is for its guards to see, not for this process to take.
        sizes = prod(reader.shape[1:]), prod(reader.array.chunks)
        if max(sizes) * reader.dtype.itemsize <= 2**22:
            reader.read(0, min(8, reader.shape[0]))


DECODER = Decoder(Framing(size=8, crop="none"), keeps_truncated=False)


def _npy(data: bytes, folder: Path) -> None:
    file = folder / "a.npy"
    file.write_bytes(data)
    read_npy_shape(file)
    with contextlib.suppress(DataError):
        mapped_array(file)
    with contextlib.suppress(DataError):
        find_source(str(file), Workspace.at(folder))
    with open_npy(file, DECODER, None) as source:
        for index in range(min(2, len(source))):
            source.load(source.fetch(source.entry(index)))


def _npz(data: bytes, folder: Path) -> None:
    (folder / "a.npz").write_bytes(data)
    with open_npz(folder / "a.npz", DECODER, None) as source:
        source.load(source.fetch(source.entry(0)))


def _tar(data: bytes, folder: Path) -> None:
    (folder / "a.tar").write_bytes(data)
    list(list_tar(folder / "a.tar"))


def _zip(data: bytes, folder: Path) -> None:
    file = folder / "a.zip"
    file.write_bytes(data)
    with file.open("rb", buffering=0) as stream:
        read = packed_reader(file, stream)
        for entry in list(list_zip(file, stream)):
            if not entry.problem and entry.held_bytes < 2**20:
                try:
                    unpacked(entry, read(entry))
                except UnreadableError:
                    continue


def _tiff(data: bytes, _folder: Path) -> None:
    heads = read_heads(data)
    if heads is not None:
        is_right_with_pillow(heads.first)
        title(heads.first)


def _fits(data: bytes, _folder: Path) -> None:
    picture = open_fits(data)
    if picture.width * picture.height <= 2**20:
        picture.load()


def _jpegs(data: bytes, _folder: Path) -> None:
    head_of_jpeg2000(data)
    size_of_jpegxl(data)


def _toml(data: bytes, folder: Path) -> None:
    (folder / "lowmem.toml").write_bytes(data)
    with_config(RunOptions(), read_config(folder / "lowmem.toml").get("run", {}))


def _pipe(data: bytes, _folder: Path) -> None:
    for read in (
        messages.answer_from_line,
        messages.order_from_line,
        messages.request_from_line,
        mirror_answer_from_line,
    ):
        try:
            read(data)
        except BAD_JSON:
            continue


def _small_files(data: bytes, folder: Path) -> None:
    """Read the files of .lowmem that hold one document, and the list of entries."""
    space = _space(folder)
    space.lock.write_bytes(data)
    is_held(space)
    space.uploading.write_bytes(data)
    Leftovers.read(space.uploading)
    telemetry = space.private / "telemetry.jsonl"
    telemetry.write_bytes(data)
    list(read_telemetry(telemetry))
    (folder / "report.csv").write_bytes(data)
    entries_before(folder / "report.csv", 1)
    refuse_foreign(space)
    tree_in(space.recovering).mkdir(parents=True, exist_ok=True)
    (space.recovering / "placing.json").write_bytes(data)
    finish_placing(space.recovering, space.root)


_ABOUT = About(
    job="train",
    generation=1,
    is_done=False,
    sequence=4711,
    journal_sha256="0" * 64,
    at="2026-11-22T10:00:00Z",
)
_CONTENTS = Contents(
    about=_ABOUT,
    entries=(
        Entry(path="model/a.keras", size_bytes=1, sha256="0", mtime_ns=1, member="a"),
    ),
)


def _mirror_texts(data: bytes, _folder: Path) -> None:
    archive_name(data.decode(errors="replace"))
    is_safe(data.decode(errors="replace"), "train")
    decoded(data, About)
    decoded(data, Ok)
    contents_from_bytes(data)
    sealed = {"sha256": _sha256(data)}
    whole = json.dumps(sealed)[:-1].encode() + b', "contents": ' + data + b"}"
    contents = contents_from_bytes(whole)
    for entry in () if contents is None else contents.entries:
        is_safe(entry.path, contents.about.job)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _mirror_archive(data: bytes, _folder: Path) -> None:
    for member in members(io.BytesIO(data)):
        member.content(2**20)


def _archive() -> bytes:
    stream = io.BytesIO()
    writer = ArchiveWriter(stream)
    writer.add("about.json", 3, [b"abc"])
    writer.add("model/" + "x" * 60, 600, [bytes(600)])
    writer.close()
    return stream.getvalue()


def _tar_samples() -> tuple[bytes, ...]:
    found = []
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
            names = ["a.png", "b/c.png"]
            names += ["long" * 40 + ".png"] if form != tarfile.USTAR_FORMAT else []
            for name in names:
                member = tarfile.TarInfo(name)
                member.size = 5
                archive.addfile(member, io.BytesIO(b"12345"))
            link = tarfile.TarInfo("l.png")
            link.type, link.linkname = tarfile.SYMTYPE, "a.png"
            archive.addfile(link)
        found.append(stream.getvalue())
    return tuple(found)


def _zip_sample(method: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name in ("a.png", "b/ä.png"):
            archive.writestr(name, b"12345" * 20)
        with archive.open(zipfile.ZipInfo("c.png"), "w", force_zip64=True) as member:
            member.write(b"abc")
    return stream.getvalue()


def _saved(save: Callable[[Any], object]) -> bytes:
    stream = io.BytesIO()
    save(stream)
    return stream.getvalue()


def _fits_sample() -> bytes:
    cards = ["SIMPLE  =                    T", "BITPIX  =                   16"]
    cards += ["NAXIS   =                    2", "NAXIS1  =                    4"]
    cards += ["NAXIS2  =                    4", "BZERO   =                32768", "END"]
    header = b"".join(card.ljust(80).encode() for card in cards).ljust(2880)
    return header + np.arange(16, dtype=">i2").tobytes().ljust(2880, b"\0")


_ROWS = np.zeros((2, 4, 4, 3), np.uint8)
_TOML = b'[run]\nram-budget = "2GiB"\ndevice = "cpu"\nseed = 3\n[train]\nepochs = 2\n'
_LAYOUTS: dict[str, tuple[str, int, dict[str, object]]] = {
    "zarr.json": ("images/zarr.json", 3, {"chunks": (4, 4, 4, 3)}),
    "zarr.json of shards": (
        "images/zarr.json",
        3,
        {"chunks": (2, 4, 4, 3), "shards": (4, 4, 4, 3)},
    ),
    "zarr.json of a group": ("zarr.json", 3, {"chunks": (4, 4, 4, 3)}),
    ".zarray": ("images/.zarray", 2, {"chunks": (4, 4, 4, 3)}),
    ".zattrs": ("images/.zattrs", 2, {"chunks": (4, 4, 4, 3)}),
    "a shard": (
        "images/c/0/0/0/0",
        3,
        {"chunks": (2, 4, 4, 3), "shards": (4, 4, 4, 3), "compressors": None},
    ),
}


def parsers(folder: Path) -> tuple[Parser, ...]:
    """Return all of them; samples are made in ``folder``."""
    bodies = _journal_bodies(folder / "journal")
    journal = b"".join(map(line_from_body, bodies))
    line = messages.line_from_message
    lines = [
        line(messages.Drain()),
        line(messages.Logged(text="a")),
        line(messages.Progressed(done=1, total=2, note="")),
        line(messages.Failed(kind="E", exit_code=70, message="m", where=None)),
        line(messages.Finished(published=("a",), summary={"n": 1})),
        line(Durable(job="train", generation=1, is_done=True)),
    ]
    texts = [b'["a", "b"]', b'{"pid": 1, "started_ticks": 2, "boot_id": "x"}']
    texts += [b"name,status,reason,row\na.png,stored,,0\nb.png,stored,,1\n"]
    encode = msgspec.json.encode
    mirror = (encode(_ABOUT), encode(_CONTENTS), bytes_from_contents(_CONTENTS))
    stores = (
        Parser(
            name=name,
            samples=(_store(folder / f"store{number}", file, form, **layout),),
            parse=_zarr(file, form, **layout),
            is_json=name != "a shard",
        )
        for number, (name, (file, form, layout)) in enumerate(_LAYOUTS.items())
    )
    return (
        Parser(name="journal", samples=(journal,), parse=_journal),
        Parser(
            name="records",
            samples=tuple({json.loads(body)["type"]: body for body in bodies}.values()),
            parse=_records(bodies),
            is_json=True,
        ),
        Parser(
            name="checkpoint manifest",
            samples=(_manifest_body(),),
            parse=_manifest,
            is_json=True,
        ),
        *stores,
        Parser(
            name=".npy",
            samples=(
                _saved(lambda stream: np.save(stream, _ROWS)),
                _saved(lambda stream: np.save(stream, _ROWS.astype("f4"))),
            ),
            parse=_npy,
            allowed=_PICTURE,
        ),
        Parser(
            name=".npz",
            samples=(
                _saved(lambda stream: np.savez(stream, images=_ROWS, other=_ROWS)),
            ),
            parse=_npz,
            allowed=_PICTURE,
        ),
        Parser(name="tar", samples=_tar_samples(), parse=_tar),
        Parser(
            name="zip",
            samples=(
                _zip_sample(zipfile.ZIP_STORED),
                _zip_sample(zipfile.ZIP_DEFLATED),
            ),
            parse=_zip,
            allowed=_PICTURE,
        ),
        Parser(name="FITS", samples=(_fits_sample(),), parse=_fits, allowed=_PICTURE),
        Parser(
            name="TIFF tags",
            samples=(tiff(np.zeros((4, 4, 3), np.uint8), bits=8, photometric=2),),
            parse=_tiff,
            allowed=_PICTURE,
        ),
        Parser(
            name="JPEG 2000 and XL",
            samples=(
                bytes.fromhex("0000000c6a5020200d0a870a") + bytes(200),
                bytes.fromhex("ff0a") + bytes(64),
                bytes.fromhex("0000000c4a584c200d0a870a") + bytes(64),
            ),
            parse=_jpegs,
            allowed=_PICTURE,
        ),
        Parser(name="lowmem.toml", samples=(_TOML,), parse=_toml),
        Parser(name="pipes", samples=tuple(lines), parse=_pipe, is_json=True),
        Parser(name="files of .lowmem", samples=tuple(texts), parse=_small_files),
        Parser(
            name="mirror texts",
            samples=(*mirror, b"train-000000004711-0badcafe.lowmem"),
            parse=_mirror_texts,
        ),
        Parser(
            name="mirror archive",
            samples=(_archive(),),
            parse=_mirror_archive,
            allowed=(DamagedArchiveError,),
        ),
    )

"""All pictures at once: through every kind of archive, and each of them cut short."""

from __future__ import annotations

import bz2
import dataclasses
import lzma
import struct

from tests.corpus import sources
from tests.corpus.archives import UTF8, tar_file, zip_file
from tests.corpus.cases import (
    early,
    gifs,
    icons,
    jpegs,
    layers,
    neighbours,
    others,
    plain,
    pngs,
    scaled,
    simple,
    tiffpages,
    tiffs,
    tiffsamples,
    tiffvolumes,
)  # fmt: skip
from tests.corpus.cases.case import WITNESS, Case, Right, Row, flat, plain_png
from tests.corpus.cases.judge import Outcome, Verdict, judged

PICTURES = (
    *pngs.PICTURES,
    *jpegs.PICTURES,
    *gifs.PICTURES,
    *plain.PICTURES,
    *neighbours.PICTURES,
    *simple.PICTURES,
    *layers.PICTURES,
    *icons.PICTURES,
    *tiffs.PICTURES,
    *tiffsamples.PICTURES,
    *tiffpages.PICTURES,
    *tiffvolumes.PICTURES,
    *others.PICTURES,
    *early.PICTURES,
    *scaled.PICTURES,
)
# Those that nothing but the source says how to read.
PLAIN = tuple(one for one in PICTURES if not one.options)
_LAST = f"é/{WITNESS}"
_WITNESS_ROW = Row(name=_LAST, pixels=flat(201))


def name_of(number):
    """Return the name of a picture in the tree of all, in one of two classes."""
    return f"{'aé'[number % 2]}/{number:04}"


def files_of(datas):
    """Return a tree of encoded pictures, and a witness."""
    files = {name_of(number): data for number, data in enumerate(datas)}
    return {**files, _LAST: plain_png(201)}


def _python_zip(path, tree, method):
    members = []
    for file in sources.files_below(tree):
        data = file.read_bytes()
        member = {
            "name": file.relative_to(tree).as_posix().encode(),
            "data": data,
            "flags": UTF8,
        }
        if method == 12:
            member |= {"method": 12, "packed": bz2.compress(data)}
        elif method == 14:
            filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 2**16}]
            body = lzma.compress(data, lzma.FORMAT_RAW, filters=filters)
            member |= {
                "method": 14,
                "packed": struct.pack("<2BHBI", 9, 4, 5, 93, 2**16) + body,
            }
        members.append(member)
    path.write_bytes(zip_file(members, is_64=method == 64))
    return path


def _tar(path, tree, pack, suffix):
    members = [
        {
            "name": file.relative_to(tree).as_posix().encode(),
            "data": file.read_bytes(),
            "is_old": True,
        }
        for file in sources.files_below(tree)
    ]
    path = path.with_suffix(suffix)
    path.write_bytes(pack(tar_file(members)))
    return path


def _links(path, tree):
    for file in sources.files_below(tree):
        (path / file.relative_to(tree)).parent.mkdir(parents=True, exist_ok=True)
        (path / file.relative_to(tree)).symlink_to(file)
    return path


SOURCES = {
    "folder": lambda _path, tree: tree,
    "folder of links": _links,
    "zip by Python": sources.zip_of_python,
    "zip by Info-ZIP": sources.zip_of_info_zip,
    "zip as the Finder writes it": sources.zip_of_the_finder,
    "zip, sizes of 64 bits": lambda path, tree: _python_zip(path, tree, 64),
    "zip, bzip2": lambda path, tree: _python_zip(path, tree, 12),
    "zip, LZMA": lambda path, tree: _python_zip(path, tree, 14),
    "tar by Python": sources.tar_of_python,
    "tar of GNU": sources.tar_of_gnu,
    "tar of POSIX, holes left out": sources.tar_of_posix,
    "tar.gz of GNU, holes left out": sources.tar_of_gnu_with_holes,
    "tar of 1979": lambda path, tree: _tar(path, tree, bytes, ".tar"),
    "tar.bz2": lambda path, tree: _tar(path, tree, bz2.compress, ".tar.bz2"),
    "tar.xz": lambda path, tree: _tar(path, tree, lzma.compress, ".tar.xz"),
}


def all_pictures(kind, pictures=PLAIN):
    """Return the case of all pictures through one kind of source."""

    def make(folder):
        tree = sources.folder(folder / "tree", files_of([one.data for one in pictures]))
        suffix = ".zip" if kind.startswith("zip") else ".tar"
        place = folder / ("links" if kind == "folder of links" else f"all{suffix}")
        return SOURCES[kind](place, tree)

    # Each is judged by itself, by `each`.
    return Case(group="all", name=kind, make=make, right=Right(rows=()), known="")


def each(pictures, outcome):
    """Yield verdict and words of each picture of the tree of all."""
    if outcome.crash is not None or outcome.refusal is not None:
        for _ in pictures:
            yield Verdict.CRASHED, outcome.crash or outcome.refusal
        return
    rows = {name: number for number, name in enumerate(outcome.names)}
    lost = judged(Right(rows=(_WITNESS_ROW,)), _alone(outcome, rows, _LAST))
    ordered = outcome.names == sorted(outcome.names, key=str.encode)
    for number, picture in enumerate(pictures):
        if lost[0] is not Verdict.RIGHT or not ordered:
            yield Verdict.WRONG, "the order, or the picture beside it, is another"
            continue
        name = name_of(number)
        yield judged(_right(picture, name), _alone(outcome, rows, name))


def _right(picture, name):
    """Return what is right of one picture alone."""
    labels = [name[0]]
    if picture.shown is None:
        # One row that is there always makes this a source with something in it.
        return Right(rows=(_WITNESS_ROW,), skipped={name: picture.reason})
    row = Row(name=name, pixels=picture.shown, allowed=picture.allowed)
    return Right(rows=(row, _WITNESS_ROW), labels=[*labels, "é"])


def _alone(outcome, rows, name):
    """Return what became of one picture and of the witness."""
    chosen = [rows[one] for one in dict.fromkeys((name, _LAST)) if one in rows]
    skipped = {name: outcome.skipped[name]} if name in outcome.skipped else {}
    labels = outcome.labels and [outcome.labels[row] for row in chosen]
    return Outcome(
        names=[outcome.names[row] for row in chosen],
        images=outcome.images[chosen],
        labels=labels,
        skipped=skipped,
    )


# --- cut short

PARTS = ("a quarter", "half", "three quarters", "all but the last byte")


def cut_pictures():
    """Return what is left of each picture: the same picture, or refused."""
    found = []
    for picture in PLAIN:
        if picture.shown is None:
            continue
        n = len(picture.data)
        for part, end in zip(PARTS, (n // 4, n // 2, n * 3 // 4, n - 1), strict=True):
            if part != PARTS[-1] or picture.tells_its_end:
                title = f"{picture.name}, {part}"
                found.append(
                    dataclasses.replace(picture, name=title, data=picture.data[:end])
                )
    return tuple(found)

"""Folders of a class each, links, names, and folders of no picture."""

from __future__ import annotations

import os

from tests.corpus.archives import tar_file, zip_file
from tests.corpus.cases.case import NOT_TRIED, Case, Right, plain_png
from tests.corpus.cases.members import shown
from tests.corpus.sources import folder

KNOWN = (
    "names and pictures known before the folder was made; the rule of docs/formats.md"
)


def _trees():
    """Yield name, values by name, and the class of each row in the order of bytes."""
    yield "two classes", {"cat/1": 1, "cat/2": 2, "dog/1": 3}, ["cat", "cat", "dog"]
    yield (
        "two classes within another folder",
        {"x/cat/1": 1, "x/dog/1": 3},
        ["cat", "dog"],
    )
    yield "one class", {"cat/1": 1, "cat/2": 2}, None
    yield "no folder", {"1": 1, "2": 2}, None
    yield "a picture beside two classes", {"cat/1": 1, "dog/1": 3, "1": 9}, None
    yield "classes of different depth", {"cat/1": 1, "dog/small/1": 3}, None
    yield (
        "splits of classes",
        {"train/cat/1": 1, "train/dog/1": 2, "test/cat/1": 3},
        None,
    )
    yield "classes of numbers", {"2/1": 1, "10/1": 2, "1/1": 3}, ["1", "10", "2"]
    yield (
        "classes of other letters",
        {"Zoé/1": 1, "anna/1": 2, "Ñandú/1": 3},
        ["Zoé", "anna", "Ñandú"],
    )
    yield "classes that differ in a capital", {"A/1": 1, "a/1": 2}, ["A", "a"]
    yield (
        "a class composed and decomposed",
        {"\xe9/1": 1, "e\u0301/1": 2},
        ["e\u0301", "\xe9"],
    )
    yield "a class with a blank at its end", {"a /1": 1, "a/1": 2}, ["a ", "a"]
    yield (
        "names that sort around the slash",
        {"a/1": 1, "a-b/1": 2, "a.b/1": 3, "ab/1": 4},
        ["a-b", "a.b", "a", "ab"],
    )
    yield "one name in each class", {"a/x.png": 1, "b/x.png": 2}, ["a", "b"]


def _classes():
    for name, values, classes in _trees():
        files = {one: plain_png(value) for one, value in values.items()}
        ordered = sorted(values, key=str.encode)
        right = Right(
            rows=shown(*((one, values[one]) for one in ordered)), labels=classes
        )
        for kind, make in _KINDS.items():
            before = (
                "names and order by code page 437"
                if kind == "zip" and "letters" in name
                else NOT_TRIED
            )
            yield Case(
                group="labels",
                name=f"{name}, {kind}",
                make=lambda place, m=make, f=files: m(place, f),
                right=right,
                known=KNOWN,
                before=before,
            )


def _zip(place, files):
    members = [
        {"name": name.encode(), "data": data} for name, data in reversed(files.items())
    ]
    (place / "a.zip").write_bytes(zip_file(members))
    return place / "a.zip"


def _tar(place, files):
    members = [
        {"name": name.encode(), "data": data} for name, data in reversed(files.items())
    ]
    (place / "a.tar").write_bytes(tar_file(members))
    return place / "a.tar"


_KINDS = {
    "folder": lambda place, files: folder(place / "tree", files),
    "zip": _zip,
    "tar": _tar,
}


def _folders():
    good = plain_png(90)

    def case(name, make, right, known=KNOWN):
        return Case(group="folder", name=name, make=make, right=right, known=known)

    def with_files(files):
        return lambda place: folder(place / "tree", files)

    none = Right(rows=None, reason=".")
    yield case(
        "a class of which no picture can be read",
        with_files({"cat/1": good, "dog/1": b"no", "eel/1": good}),
        Right(
            rows=shown(("cat/1", 90), ("eel/1", 90)),
            skipped={"dog/1": "not an image"},
            labels=["cat", "eel"],
        ),
    )
    yield case(
        "two classes, of one no picture can be read",
        with_files({"cat/1": good, "dog/1": b"no"}),
        Right(rows=shown(("cat/1", 90)), skipped={"dog/1": "."}, labels=None),
    )
    yield case(
        "a text in its root, beside classes",
        with_files({"cat/1": good, "dog/1": good, "README.txt": b"said"}),
        Right(
            rows=shown(("cat/1", 90), ("dog/1", 90)),
            skipped={"README.txt": "."},
            labels=["cat", "dog"],
        ),
    )
    yield case(
        "hidden files and folders",
        with_files(
            {
                "cat/1": good,
                ".git/1": good,
                "cat/.1": good,
                "__MACOSX/2": good,
                "dog/1": good,
            }
        ),
        Right(rows=shown(("cat/1", 90), ("dog/1", 90)), labels=["cat", "dog"]),
    )
    yield case(
        "no file",
        lambda place: folder(place / "tree", {"x/.y": b""}),
        none,
        "no picture is in it",
    )
    yield case(
        "texts alone",
        with_files({"a.txt": b"said", "b.png": b"said"}),
        none,
        "no picture is in it",
    )
    yield case(
        "called .zarr, of pictures",
        lambda place: folder(place / "tree.zarr", {"a": good}),
        Right(rows=shown(("a", 90))),
        "no metadata of Zarr are in it",
    )
    yield case(
        "called .zip, of pictures",
        lambda place: folder(place / "tree.zip", {"a": good}),
        Right(rows=shown(("a", 90))),
        "a folder by any name",
    )
    yield case(
        "one picture as the source",
        lambda place: folder(place / "tree", {"a.png": good}) / "a.png",
        none,
        "no kind of source",
    )
    for ending in ("rar", "7z", "tar.zst", "h5", "csv", "mat"):
        yield case(
            f"a file .{ending}",
            lambda place, e=ending: (
                folder(place / "tree", {f"a.{e}": b"PK\3\4" + bytes(99)}) / f"a.{e}"
            ),
            none,
            "no kind of source",
        )
    yield case(
        "what is not there", lambda place: place / "nothing", none, "nothing is there"
    )
    yield case(
        "links, pipes, circles",
        _links,
        Right(
            rows=shown(("a", 90), ("hard", 90), ("soft", 90)),
            skipped={
                "gone": "No such",
                "loop": "symbolic|levels",
                "pipe": "regular",
                "to a folder": "link",
            },
        ),
    )
    yield case("a name that is no UTF-8", _latin, Right(rows=shown(("caf\\xe9", 90))))
    yield case("a workspace in it", _workspace, Right(rows=shown(("a", 90))))


def _links(place):
    tree = folder(place / "tree", {"a": plain_png(90)})
    folder(place / "other", {"b": plain_png(1)})
    os.link(tree / "a", tree / "hard")
    (tree / "soft").symlink_to("a")
    (tree / "gone").symlink_to("nowhere")
    (tree / "loop").symlink_to("loop")
    (tree / "to a folder").symlink_to(place / "other")
    os.mkfifo(tree / "pipe")
    return tree


def _latin(place):
    tree = folder(place / "tree", {})
    tree.mkdir()
    with open(os.fsencode(tree) + b"/caf\xe9", "wb") as stream:  # noqa: PTH123 - bytes
        stream.write(plain_png(90))
    return tree


def _workspace(place):
    """Return the folder in which the workspace is made."""
    (place / "a").write_bytes(plain_png(90))
    return place


CASES = (*_classes(), *_folders())

"""Where members are unpacked to: names as programs write them, and links through folders.

`test_the_right_answers_of_paths_are_what_unzip_and_gnu_tar_unpack` holds the right answers.
"""

from __future__ import annotations

from tests.corpus.archives import FOLDER, HARD, SOFT, UTF8, tar_file, zip_file
from tests.corpus.cases.case import NOT_TRIED, Right, plain_png
from tests.corpus.cases.members import GOOD, LINK, STORED, UNSAFE, archive, of, shown

BY_UNZIP = "what `unzip` unpacks"
BY_TAR = "what GNU tar unpacks"
FAT, NTFS = 0, 10  # where a member of a zip was made (APPNOTE 4.4.2)
RECORD, DUMP = "record", b"D"
TWO = [("cat/1.png", 1), ("dog/2.png", 2)]


def _zip(name, members, rows, skipped=None, before=NOT_TRIED, known=BY_UNZIP, **more):
    right = Right(rows=shown(*rows), skipped=skipped or {}, **more)
    return archive("zip", name, ".zip", zip_file(members), right, known, before)


def _from_here():
    """Yield zips whose names begin with ``./``, as libarchive's `tar` writes them."""
    yield _zip(
        "names from here (./a.png), as of `tar` of macOS and Windows",
        [{"name": b"./", "data": b""}, of("./a.png"), of("./good.png", 33)],
        [("a.png", 90), STORED],
        before="names begin with ./, the same pictures are appended again",
    )
    yield _zip(
        "two classes from here",
        [of("./dog/2.png", 2), of("./cat/1.png", 1)],
        TWO,
        labels=["cat", "dog"],
    )
    yield _zip(
        "a hidden file from here",
        [of("./.a.png"), of("./x/.b.png"), GOOD],
        [STORED],
        known="passed over, as in a folder",
    )
    yield _zip("a name of dots", [of("..a.png"), GOOD], [("..a.png", 90), STORED])
    yield _zip(
        "the name ./../a.png",
        [of("./../a.png"), GOOD],
        [STORED],
        {"../a.png": UNSAFE},
        known="it points outside the archive",
    )


def _backslashes():
    """Yield zips whose folders are parted by backslashes, as PowerShell writes them."""
    yield _zip(
        "two classes, as Compress-Archive writes them",
        [of("dog\\2.png", 2, system=FAT), of("cat\\1.png", 1, system=FAT)],
        TWO,
        before="no classes",
        labels=["cat", "dog"],
    )
    yield _zip(
        "folders of their own that end with a backslash",
        [
            {"name": b"cat\\", "data": b"", "system": FAT},
            of("cat\\1.png", 1, system=FAT),
            of("dog\\2.png", 2, system=FAT),
        ],
        TWO,
        labels=["cat", "dog"],
    )
    yield _zip(
        "a backslash between deeper folders",
        [of("cat\\tabby\\1.png", system=FAT)],
        [("cat/tabby/1.png", 90)],
    )
    yield _zip(
        "a backslash, and letters in UTF-8",
        [of("Zoé\\ñ.png", system=FAT, flags=UTF8)],
        [("Zoé/ñ.png", 90)],
        known="the name that is declared; `unzip` parts it so, in letters of its own",
    )
    yield _zip(
        "a backslash from here (.\\a.png)",
        [of(".\\a.png", system=FAT)],
        [("a.png", 90)],
    )
    for name, system, where in (
        ("cat\\1.png", 3, "from Unix"),
        ("cat\\1.png", NTFS, "from NTFS"),
        ("x/cat\\1.png", FAT, "beside a slash"),
    ):
        yield _zip(f"a backslash {where}", [of(name, system=system)], [(name, 90)])
    yield _zip(
        "a backslash that leads outside",
        [of("cat\\..\\..\\a.png", system=FAT), GOOD],
        [STORED],
        {"cat/../../a.png": UNSAFE},
        known="it points outside the archive",
    )


def _tar(name, members, rows, skipped=None, before=NOT_TRIED, known=BY_TAR, **more):
    right = Right(rows=shown(*rows), skipped=skipped or {}, **more)
    return archive("tar", name, ".tar", tar_file(members), right, known, before)


def _file(name, value=90, **more):
    return {"name": name.encode(), "data": plain_png(value), **more}


def _link(name, target, kind=SOFT, **more):
    return {"name": name.encode(), "target": target.encode(), "kind": kind, **more}


def _times():
    """Yield tars that keep times where others keep the first part of a name."""
    for times, title in (("gnu", "GNU (--listed-incremental)"), ("star", "star")):
        yield _tar(
            f"times of {title} in headers",
            [_file("cat/1.png", 1, times=times), _file("dog/2.png", 2, times=times)],
            TWO,
            before="names begin with a number" if times == "gnu" else NOT_TRIED,
            labels=["cat", "dog"],
        )
        yield _tar(
            f"times of {title}, a hard link",
            [
                _file("cat/1.png", 1, times=times),
                _link("dog/2.png", "cat/1.png", HARD, times=times),
            ],
            [("cat/1.png", 1), ("dog/2.png", 1)],
            before="skipped" if times == "gnu" else NOT_TRIED,
        )
        long = "n" * 200 + ".png"
        yield _tar(
            f"times of {title}, a long name",
            [
                {"name": b"././@LongLink", "data": long.encode() + b"\0", "kind": b"L"},
                _file("n" * 99, times=times),
            ],
            [(long, 90)],
        )
    yield _tar(
        "what GNU tar lists of a folder, with times",
        [
            {"name": b"cat/", "data": b"Y1.png\0\0", "kind": DUMP, "times": "gnu"},
            _file("cat/1.png", 1, times="gnu"),
        ],
        [("cat/1.png", 1)],
        {"cat/": RECORD},
        known=BY_TAR + "; a list of names is no file",
    )
    yield _tar(
        "a long name of POSIX, in two parts",
        [_file("1.png", 1, above=b"deep/cat"), _file("2.png", 2, above=b"deep/dog")],
        [(f"deep/{name}", value) for name, value in TWO],
        labels=["cat", "dog"],
    )


def _folders():
    """Yield tars of links that lead through folders which are links themselves."""
    a, one = _file("a.png", 9), _file("y/a.png", 1)
    deep = {"name": b"y/z/", "kind": FOLDER}
    yield _tar(
        "a link through a linked folder",
        [one, _link("x", "y"), _link("b.png", "x/a.png")],
        [("b.png", 1), ("y/a.png", 1)],
        {"x": LINK},
        before="skipped",
    )
    yield _tar(
        "a link through one that comes later",
        [_link("b.png", "x/a.png"), _link("x", "y"), one],
        [("b.png", 1), ("y/a.png", 1)],
        {"x": LINK},
    )
    yield _tar(
        "a link up from a linked folder",
        [a, one, deep, _link("x", "y/z"), _link("b.png", "x/../a.png")],
        [("a.png", 9), ("b.png", 1), ("y/a.png", 1)],
        {"x": LINK},
        before="the picture of another file",
    )
    yield _tar(
        "a link up from a folder",
        [a, _file("x/k.png", 2), _link("b.png", "x/../a.png")],
        [("a.png", 9), ("b.png", 9), ("x/k.png", 2)],
    )
    for target in ("./a.png", ".//a.png", "./././a.png"):
        yield _tar(
            f"a link to {target}",
            [a, _link("b.png", target)],
            [("a.png", 9), ("b.png", 9)],
        )
    for target, how in (
        ("x/../a.png", "up from nothing"),
        ("a.png/../a.png", "up from a file"),
        ("a.png/", "to a file as a folder"),
        ("/a.png", "from the root"),
        ("../a.png", "outside"),
        (".", "to the folder itself"),
    ):
        yield _tar(
            f"a link {how}",
            [a, _link("b.png", target)],
            [("a.png", 9)],
            {"b.png": LINK},
        )
    yield _tar(
        "a link through a folder that leads outside",
        [a, _link("x", ".."), _link("b.png", "x/a.png")],
        [("a.png", 9)],
        {"x": LINK, "b.png": LINK},
    )
    yield _tar(
        "a hard link of a symbolic one that lies elsewhere",
        [a, one, _link("y/c.png", "a.png"), _link("b.png", "y/c.png", HARD)],
        [("a.png", 9), ("b.png", 9), ("y/a.png", 1), ("y/c.png", 1)],
        known=BY_TAR + ": the target counts from where the link lies",
    )
    yield _tar(
        "a file in a folder that is a link by then",
        [one, _link("x", "y"), _file("x/k.png", 3)],
        [("y/a.png", 1)],
        {"x": LINK, "x/k.png": "in a folder that is a link"},
        known="GNU tar and bsdtar unpack it to different places",
    )


def _doubled():
    """Yield names with a slash twice or a ``.`` in them, as GNU tar and `zip` write them.

    `tar -cf a.tar "$FOLDER/"*`, where the folder's name ends with a slash, and `zip a.zip
    x//a.png` keep both slashes. Programs unpack ``x//a.png`` and ``x/./a.png`` to x/a.png.
    """
    kinds = ((_zip, of, GOOD, 700), (_tar, _file, _file("good.png", 33), 80))
    for case, member, good, n_slashes in kinds:
        for name, path in (
            ("././a.png", "a.png"),
            ("x/./a.png", "x/a.png"),
            ("x//a.png", "x/a.png"),
            (".//a.png", "a.png"),
            (f"x{'/' * n_slashes}a.png", "x/a.png"),
        ):
            told = name if "///" not in name else f"x/a.png with {n_slashes} slashes"
            yield case(f"the name {told}", [member(name)], [(path, 90)])
        yield case(
            "two classes, a slash twice",
            [member("cat//1.png", 1), member("dog//2.png", 2)],
            TWO,
            labels=["cat", "dog"],
        )
        yield case(
            "twice, with one slash and with two",
            [member("x/a.png", 1), member("x//a.png", 2)],
            [("x/a.png", 2)],
            known="the later one, as of one name twice",
        )
        yield case(
            "a hidden file in a folder with a slash twice",
            [member("x//.a.png"), member("x/./.b.png"), good],
            [STORED],
            known="passed over, as in a folder",
        )
        yield case(
            "a name from the root, with a slash twice",
            [member("//a.png"), good],
            [STORED],
            {"//a.png": UNSAFE},
            known="it points outside the archive",
        )
    yield _tar(
        "links with a slash twice",
        [
            _file("x//a.png", 1),
            _link("y//b.png", "x/./a.png", HARD),
            _link("y/./c.png", "..//x//a.png"),
        ],
        [("x/a.png", 1), ("y/b.png", 1), ("y/c.png", 1)],
    )
    yield _tar(
        "a plain file whose name ends with a slash",
        [_file("x.png/", 1), _file("good.png", 33)],
        [STORED],
        known="a folder, as GNU tar and bsdtar unpack it",
    )


CASES = (*_from_here(), *_backslashes(), *_times(), *_folders(), *_doubled())

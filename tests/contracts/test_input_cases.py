"""The short form of ``benchmarks/inputs.py``: all pictures in one folder, and some others."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess

import numpy as np
import pytest

from tests.corpus.cases import paths, table
from tests.corpus.cases.case import SIDE, Picture, Right, Row, case_of, flat, plain_png
from tests.corpus.cases.crossed import PLAIN
from tests.corpus.cases.elsewhere import ELSEWHERE
from tests.corpus.cases.judge import Outcome, Verdict, judged, run

pytestmark = [
    pytest.mark.slow,
    # Of tags and chunks that lie, and of what Pillow reads all the same.
    pytest.mark.filterwarnings("ignore"),
]
# One in so many of the cases that are no pictures; all of them: benchmarks/inputs.py.
_STEP = 20


@pytest.fixture(scope="module")
def pictures():
    """Return the line of every picture, all of them from one folder."""
    return {(one.group, one.name): one for one in table.lines_of_pictures("folder")}


GROUPS = tuple(dict.fromkeys(one.group for one in PLAIN))


@pytest.mark.parametrize("group", GROUPS)
def test_no_picture_is_silently_wrong(pictures, group):
    some = {key: one for key, one in pictures.items() if key[0] == group}
    assert some
    assert not {key: one.words for key, one in some.items() if one.verdict.is_fault}
    told = [one.words for one in some.values() if one.verdict is Verdict.OTHERWISE]
    assert not told


def test_a_picture_cut_short_is_refused_or_whole():
    lines = list(table.lines_of_cuts())
    assert len(lines) > 1000
    assert not [one.name for one in lines if one.verdict.is_fault]


KINDS = tuple(kind for kind in table.ALL_SOURCES if kind != "folder")


@pytest.mark.parametrize("kind", KINDS)
def test_through_any_kind_of_archive_a_picture_is_what_it_is_in_a_folder(
    pictures, kind
):
    """Each picture through one kind, each kind with its share of all groups.

    All through all: benchmarks/inputs.py.
    """
    some = PLAIN[KINDS.index(kind) :: len(KINDS)]
    lines = list(table.lines_of_pictures(kind, some))
    assert len(lines) == len(some) > 1
    for one in lines:
        there = pictures[one.group, one.name]
        assert (one.verdict, one.words) == (there.verdict, there.words), one.name


SOME = (*table.CASES[: -len(table.LATEST) : _STEP], *table.LATEST)


@pytest.mark.parametrize("case", SOME, ids=lambda case: f"{case.group}: {case.name}")
def test_no_other_input_is_silently_wrong(tmp_path, case):
    verdict, words = judged(case.right, run(case, tmp_path))
    assert not verdict.is_fault, words
    assert verdict is not Verdict.OTHERWISE, words


UNPACKED = [one for one in paths.CASES if one.known.startswith("what ")]


@pytest.mark.parametrize(
    "case", UNPACKED, ids=lambda case: f"{case.group}: {case.name}"
)
def test_the_right_answers_of_paths_are_what_unzip_and_gnu_tar_unpack(tmp_path, case):
    command = {"zip": ["unzip", "-q"], "tar": ["tar", "-xf"]}[case.group]
    if not shutil.which(command[0]):
        pytest.skip(f"{command[0]} is not installed")
    # Deep, so that no link to folders above leads to the archive.
    unpacked = tmp_path / "1" / "2" / "3"
    unpacked.mkdir(parents=True)
    subprocess.run(
        [shutil.which(command[0]), *command[1:], case.make(tmp_path)],
        cwd=unpacked,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stderr=subprocess.DEVNULL,
        # Both end with 1 or 2 where they warn of a name or of a link.
        check=False,
    )
    for row in case.right.rows:
        value = int(row.pixels[0, 0, 0])
        assert (unpacked / row.name).read_bytes() == plain_png(value), row.name
    files = {
        file.relative_to(unpacked).as_posix()
        for file in unpacked.rglob("*")
        if is_a_picture(file, unpacked)
    }
    assert files - case.right.skipped.keys() <= {row.name for row in case.right.rows}


def is_a_picture(file, unpacked):
    try:
        return file.is_file() and unpacked in file.resolve(strict=True).parents
    except OSError:  # a link that leads nowhere, or without end
        return False


def test_there_are_many_cases_and_each_has_a_name_of_its_own():
    named = [(one.group, one.name) for one in (*table.PICTURES, *table.CASES)]
    assert len(named) > 150
    twice = {one for one in named if named.count(one) > 1}
    assert not twice
    assert all(one.known for one in (*table.PICTURES, *table.CASES))


def test_the_tests_of_cases_that_are_no_pictures_are_there(pytestconfig):
    there = "\n".join(
        file.read_text(encoding="utf-8")
        for file in (pytestconfig.rootpath / "tests").rglob("test_*.py")
    )
    for *_, tests in ELSEWHERE:
        for name in tests:
            assert f"def {name}(" in there, name


def test_the_page_holds_every_case(pytestconfig):
    page = (pytestconfig.rootpath / "docs/input-cases.md").read_text(encoding="utf-8")
    rows = {line.split(" | ")[0] for line in page.splitlines() if line.startswith("| ")}
    for one in (*table.PICTURES, *table.CASES):
        shown = " ".join(one.name.replace("|", "\\|").replace("<", "&lt;").split())
        assert f"| {shown}" in rows, one.name


# --- a wrong answer is noticed


def _picture(**more):
    words = {
        "group": "planted",
        "name": "one",
        "known": "planted",
        "data": plain_png(90),
    }
    return Picture(**{**words, "shown": flat(90), **more})


def test_a_planted_wrong_answer_is_noticed(tmp_path):
    verdicts = {}
    planted = {
        "right": _picture(),
        "one value off by one": _picture(shown=_off_by_one()),
        "should be refused": _picture(shown=None),
        "could be read": _picture(data=b"hello"),
        "refused": _picture(data=b"hello", shown=None, reason="not an image"),
        "refused for another reason": _picture(data=b"", shown=None, reason="camera"),
    }
    for name, picture in planted.items():
        (tmp_path / name).mkdir()
        case = case_of(picture)
        verdicts[name] = judged(case.right, run(case, tmp_path / name))[0]
    assert list(verdicts.values()) == [
        Verdict.RIGHT, Verdict.WRONG, Verdict.WRONG, Verdict.TOLD, Verdict.REFUSED,
        Verdict.OTHERWISE,
    ]  # fmt: skip
    faults = [name for name, verdict in verdicts.items() if verdict.is_fault]
    assert faults == ["one value off by one", "should be refused"]


def _off_by_one():
    shown = flat(90).copy()
    shown[3, 4, 1] = 91
    return shown


ROWS = (Row(name="a", pixels=flat(1)), Row(name="b", pixels=flat(2)))
STORED = Outcome(
    names=["a", "b"], images=np.stack([flat(1), flat(2)]), labels=["x", "y"]
)
NOTICED = {
    "another name": {"names": ["a", "c"]},
    "another order": {"names": ["b", "a"]},
    "a row too few, not listed": {"names": ["a"], "images": flat(1)[None]},
    "a row too many": {
        "names": ["a", "b", "c"],
        "images": np.zeros((3, SIDE, SIDE, 3)),
    },
    "another picture": {"images": np.stack([flat(1), flat(1)])},
    "another label": {"labels": ["x", "x"]},
    "no labels": {"labels": None},
    "listed as left out, and should not be": {"skipped": {"c": "no image"}},
    "a crash": {"crash": "MemoryError"},
}


@pytest.mark.parametrize("name", NOTICED)
def test_whatever_differs_in_a_store_is_noticed(name):
    right = Right(rows=ROWS, labels=["x", "y"])
    assert judged(right, STORED)[0] is Verdict.RIGHT
    outcome = dataclasses.replace(STORED, **NOTICED[name])
    assert judged(right, outcome)[0].is_fault


def test_a_store_where_a_refusal_is_right_is_noticed():
    assert judged(Right(rows=None, reason="."), STORED)[0] is Verdict.WRONG
    lost = Right(rows=ROWS, skipped={"c": "no image"})
    assert judged(lost, STORED)[0] is Verdict.WRONG

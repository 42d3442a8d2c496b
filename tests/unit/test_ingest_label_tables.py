"""A table joined to pictures by name gives each its own number, or is refused."""

from __future__ import annotations

import shutil
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lowmem.base.errors import DataError, OptionValueError, UsageError
from lowmem.protocol.options import resolve_options
from lowmem_jobs.ingest.append import JOB as APPEND
from lowmem_jobs.ingest.entries import Entry
from lowmem_jobs.ingest.ingest_recipe import recipe_from_options
from lowmem_jobs.ingest.job import JOB
from lowmem_jobs.ingest.joined_labels import JoinedLabels
from lowmem_jobs.ingest.label_choice import LabelChoice
from lowmem_jobs.ingest.label_table import read_label_table
from tests.driver import Cutter, drive

SIZE = 8
ANIMALS = ("dog", "cat", "newt")


def table_at(folder: Path, content: str | bytes, name="table.txt") -> Path:
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(data)
    return path


def joined(folder: Path, content: str | bytes, column=None, key=None) -> JoinedLabels:
    choice = LabelChoice(path=table_at(folder, content), column=column, key=key)
    return JoinedLabels(choice)


class Files:
    """A source of which only the names are asked for."""

    def __init__(self, *names: str) -> None:
        self._names = sorted(names)

    def __len__(self) -> int:
        return len(self._names)

    def entry(self, index: int) -> Entry:
        return Entry(self._names[index])


def attributes_list(rows: dict[str, list[int]], titles: list[str]) -> str:
    """A list as CelebA writes it: a count, titles, columns of a width with a space more."""
    lines = [f"{name} {' '.join(f'{n:2}' for n in row)}" for name, row in rows.items()]
    return "\n".join([str(len(rows)), " ".join(titles) + " ", *lines, ""])


# --- one column of a table -----------------------------------------------------------


@settings(max_examples=15)
@given(st.data())
def test_each_name_has_the_number_that_was_written_for_it(tmp_path_factory, data):
    """Whatever the form of the table and the order of its lines."""
    names = data.draw(
        st.lists(
            st.from_regex(r"[a-z0-9éß]{1,6}\.jpg", fullmatch=True), unique=True
        ).filter(bool)
    )
    signs = {name: data.draw(st.sampled_from([-1, 1])) for name in names}
    words = {name: data.draw(st.sampled_from(ANIMALS)) for name in names}
    numbers = {name: data.draw(st.integers(-(2**31), 2**31 - 1)) for name in names}
    shuffled = data.draw(st.permutations(names))
    folder = tmp_path_factory.mktemp("t")
    listed = attributes_list({n: [1, signs[n], -1] for n in names}, ["A", "B", "C"])
    found = joined(folder, listed, "B").labels(shuffled)
    assert found.class_names == ("not B", "B")
    assert found.numbers.tolist() == [signs[name] == 1 for name in shuffled]
    csv = "id, what ,name\r\n" + "".join(f'7,"{words[n]}",{n}\r\n' for n in names)
    found = joined(folder, "\ufeff" + csv, "what", "name").labels(shuffled)
    assert found.class_names == tuple(sorted(set(words.values())))
    assert [found.class_names[n] for n in found.numbers] == [words[n] for n in shuffled]
    pairs = "".join(f"{n} {numbers[n]}\n\n" for n in names)
    found = joined(folder, pairs).labels(shuffled)
    assert found.class_names == ()
    assert found.numbers.tolist() == [numbers[name] for name in shuffled]


def test_titles_of_a_counted_list_may_name_the_pictures_too(tmp_path):
    """As in CelebA's list of boxes; then numbers are numbers."""
    text = "2\nimage_id x_1 y_1\n000001.jpg    95  71\n000002.jpg    72  94\n"
    assert joined(tmp_path, text, "y_1").labels(["000002.jpg"]).numbers.tolist() == [94]


def test_quotes_keep_commas_and_quotes_within_a_cell(tmp_path):
    text = 'name,what\n"a, b.png","the ""big"" one"\nc.png,small\n'
    found = joined(tmp_path, text, "what").labels(["a, b.png", "c.png"])
    assert [found.class_names[n] for n in found.numbers] == ['the "big" one', "small"]


CSV = "name,what\na.png,{}\nb.png,{}\n"
REFUSED = {
    "no lines": ("\n \n", "what", "has no lines"),
    "a count alone": ("2\n", "A", "says 2, and titles"),
    "a count too high": ("3\nA B\na 1 1\nb 1 1\n", "A", "says that 3 lines .* 2 do"),
    "a count too low": ("1\nA B\na 1 1\nb 1 1\n", "A", "says that 1 lines .* 2 do"),
    "no such column": ("1\nA B\na 1 1\n", "C", "line 2 has no columns .* A, B"),
    "no column asked for": (CSV.format(1, 2), None, "--label with one of name, what"),
    "a title twice": ("n,A,A\na,1,2\n", "A", "has 2 columns called 'A'"),
    "the names as labels": (CSV.format(1, 2), "name", "has the names of the pictures"),
    "titles that do not fit": ("1\nA B C\na 1\n", "A", "line 3 has 2 fields"),
    "a field more": ("1\nA B\na 1 1\nb 1 1 1\n", "A", "line 4 has 4 fields"),
    "a field less": ("n,A\na,1\nb\n", "A", "line 3 has 1 fields"),
    "an open quote": ('n,A\na,"1\n', "A", "line 2 has quotes that do not fit"),
    "an empty cell": (CSV.format(1, " "), "what", "line 3 has no label"),
    "an empty name": ("n,A\n ,1\n", "A", "line 2 has no name"),
    "NaN": (CSV.format("1", "NaN"), "what", "line 3: 'NaN' says that it is missing"),
    "NA": (CSV.format("dog", "NA"), "what", "line 3: 'NA' says that it is missing"),
    "a float": (CSV.format("1.0", 2), "what", "'1.0' is no whole number"),
    "an exponent": (CSV.format("1e3", 2), "what", "'1e3' is no whole number"),
    "infinity": (CSV.format("dog", "-inf"), "what", "'-inf' is no whole number"),
    "words, then a number": (CSV.format("dog", 2), "what", "line 3: '2' is a number"),
    "numbers, then a word": (CSV.format(2, "dog"), "what", "line 3: 'dog' is a word"),
    "too large": (CSV.format(1, 2**31), "what", "is no number of 32 bits"),
    "far too large": (CSV.format(1, "9" * 999), "what", "is no number of 32 bits"),
    "two lines of one": ("n,A\na,1\nb,1\na,1\n", "A", "two lines of a, 2 and 4"),
    "Latin-1": (
        CSV.format(1, 2).encode() + b"caf\xe9.png,1\n",
        "what",
        "line 4 is no UTF-8",
    ),
    "UTF-16": (CSV.format(1, 2).encode("utf-16"), "what", "line 1 is no UTF-8"),
    "old line ends": ("n,A\ra,1\rb,2", "A", "carriage return"),
    "zeros": ("n,A\na\0,1\n", "A", "carriage return or a zero"),
    "words without titles": ("a.png dog\n", None, "no comma"),
    "tabs and titles": ("name\tA\na\t1\n", "A", "no comma"),
    "a column without titles": ("a.png 1\n", "A", "no column is called A"),
    "a word among pairs": ("a.png 1\nb.png dog\n", None, "line 2: 'dog' is a word"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_table_that_could_mean_something_else_is_refused(tmp_path, case):
    content, column, told = REFUSED[case]
    with pytest.raises(DataError, match=told) as error:
        joined(tmp_path, content, column)
    assert str(tmp_path / "table.txt") in str(error.value)


def test_a_column_of_as_many_words_as_pictures_is_refused(tmp_path):
    text = "n,A\n" + "".join(f"{n},word {n}\n" for n in range(2**15 + 1))
    with pytest.raises(DataError, match="one class more than 32768"):
        joined(tmp_path, text, "A")
    long = "n,A\n" + "".join(f"{n},{n}{'x' * 2**17}\n" for n in range(9))
    with pytest.raises(DataError, match="one class more than 7"):
        joined(tmp_path, long, "A")


@pytest.mark.parametrize("head", ["", "n,A\n", "1\nA B\n"])
def test_a_line_of_a_gigabyte_is_refused_in_little_memory(tmp_path, head):
    path = table_at(tmp_path, head + "a")
    with path.open("r+b") as stream:
        stream.truncate(2**30)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match="has more than 1048576 bytes"):
            read_label_table(LabelChoice(path=path, column="A"))
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_a_table_takes_some_bytes_a_line_whatever_else_is_in_it(tmp_path):
    n = 20_000
    rows = "".join(f"{'x' * 90}{i},{i % 7},{'y' * 300}\n" for i in range(n))
    path = table_at(tmp_path, "n,A,B\n" + rows)
    del rows
    tracemalloc.start()
    try:
        read_label_table(LabelChoice(path=path, column="A"))
        assert tracemalloc.get_traced_memory()[1] < 40 * n + 2**19
    finally:
        tracemalloc.stop()


# --- which line is whose -------------------------------------------------------------

LINES = "1.png 1\nb/1.png 2\n2.png 3\nc/d/4.png 4\n"


@pytest.mark.parametrize(
    ("files", "numbers"),
    [
        (["1.png", "b/1.png", "2.png"], [1, 2, 3]),
        (["x/1.png", "x/2.png"], [1, 3]),
        (["x/y/2.png", "c/d/4.png"], [3, 4]),
    ],
)
def test_a_line_is_that_of_the_path_or_else_of_the_only_file_of_the_name(
    tmp_path, files, numbers
):
    table = joined(tmp_path, LINES)
    assert table.refuse_unclear(Files(*files, "README.txt")) == 1
    assert table.labels(files).numbers.tolist() == numbers


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["x/1.png", "y/1.png"], "one line for x/1.png and y/1.png"),
        (["1.png", "y/1.png"], "one line for 1.png and y/1.png"),
        (["a/1.png", "b/1.png"], "one line for a/1.png and b/1.png"),
        (["x/b/1.png", "x/1.png"], "one line for x/1.png and x/b/1.png"),
        ([r"caf\xe9/2.png", b"caf\xe9/2.png".decode("utf8", "surrogateescape")], "two"),
        (["3.png", "4.png"], r"has no line of 3.png, .* such as '1.png'"),
    ],
)
def test_a_line_that_could_mean_two_files_or_no_line_at_all_is_refused(
    tmp_path, files, told
):
    table = joined(tmp_path, LINES)
    told = told.replace("two", "one line for")
    with pytest.raises(DataError, match=told):
        table.refuse_unclear(Files(*files))


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["b/1.png"], "two lines of b/1.png, .* by its file name, 1.png"),
        (["2.png", "a/3.png", "b/1.png"], "two lines of b/1.png"),
        # The line of the path alone; another file is that of the name.
        (["b/1.png", "1.png"], None),
        (["c/d/4.png", "x/2.png"], None),
    ],
)
def test_two_lines_of_one_picture_by_its_path_and_its_name_are_refused(
    tmp_path, files, told
):
    table = joined(tmp_path, LINES)
    if told is None:
        table.refuse_unclear(Files(*files))
    else:
        with pytest.raises(DataError, match=told):
            table.refuse_unclear(Files(*files))


def test_a_path_that_an_archive_has_twice_is_one_file(tmp_path):
    assert joined(tmp_path, LINES).refuse_unclear(Files("x/1.png", "x/1.png")) == 0


# --- the job -------------------------------------------------------------------------


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr("lowmem_jobs.ingest.ingest_recipe._CHUNK_ROWS", 4)


def write_images(folder: Path, names) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (len(name), 2, 3)).save(folder / name)
    return folder


def ingest(workspace: Path, source: Path, table: Path, **options: object) -> Cutter:
    given = {"source": str(source), "labels": str(table), "size": SIZE, **options}
    told = Cutter(leave_after=2)
    while drive(JOB, workspace, given, overseer=told) is None:
        told.leave_after += 2
    return told


def labels_in(workspace: Path) -> tuple[dict[str, int], dict[str, object]]:
    """Return labels by name, and what the array says, by a reader without lowmem."""
    group = zarr.open_group(workspace / "images.zarr", mode="r")
    array = group["labels"]
    assert (array.dtype, array.shape) == (np.int32, group["names"].shape)
    rows = zip(group["names"][:], array[:], strict=True)
    return {str(name): int(number) for name, number in rows}, dict(array.attrs)


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_pictures_have_the_labels_of_their_lines_wherever_it_was_cut(tmp_path, kind):
    names = [f"{n:02}.png" for n in range(11)]
    source = write_images(tmp_path / "faces", names)
    # Neither of these is a row, and the second has no line.
    (source / "03.png").write_bytes(b"no picture")
    (source / "README.txt").write_text("no picture either")
    signs = {name: (-1, 1)[n * n % 3] for n, name in enumerate(names)}
    listed = [*reversed(names), "99.png"]
    rows = {name: [1, signs.get(name, -1)] for name in listed}
    table = table_at(tmp_path, attributes_list(rows, ["Bald", "Smiling"]))
    above = "" if kind == "folder" else "faces/"
    if kind != "folder":
        source = Path(shutil.make_archive(str(source), kind, tmp_path, "faces"))
    told = ingest(tmp_path / "w", source, table, label="Smiling")
    found, said = labels_in(tmp_path / "w")
    expected = {f"{above}{n}": int(s == 1) for n, s in signs.items() if n != "03.png"}
    assert found == expected
    assert said["class_names"] == ["not Smiling", "Smiling"]
    assert "10 of its 12 lines have pictures" in told.lines[-1]
    assert any("1 of 12 files have no label" in line for line in told.lines)
    stated = zarr.open_group(tmp_path / "w/images.zarr", mode="r").attrs["labels"]
    assert (stated["table"], stated["column"]) == (str(table), "Smiling")
    # No image has changed for it, and an append would have no labels.
    drive(JOB, tmp_path / "plain", {"source": str(source), "size": SIZE})
    one, two = (
        zarr.open_group(tmp_path / name / "images.zarr", mode="r").attrs
        for name in ("w", "plain")
    )
    assert one["content_sha256"] == two["content_sha256"]
    assert "labels" not in two
    with pytest.raises(DataError, match=r"has labels of .*table\.txt"):
        drive(APPEND, tmp_path / "w", {"source": str(source)})


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_folders_give_no_labels_where_a_table_does_and_numbers_are_no_classes(tmp_path):
    source = write_images(tmp_path / "s", ["cat/1.png", "dog/2.png"])
    ingest(tmp_path / "w", source, table_at(tmp_path, "1.png 2880\n2.png -5\n"))
    found, said = labels_in(tmp_path / "w")
    assert found == {"cat/1.png": 2880, "dog/2.png": -5}
    assert "class_names" not in said


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_a_picture_without_a_line_ends_it_before_the_commit_that_would_hold_it(
    tmp_path,
):
    source = write_images(tmp_path / "s", [f"{n}.png" for n in range(9)])
    table = table_at(tmp_path, "".join(f"{n}.png {n}\n" for n in range(9) if n != 5))
    given = {"source": str(source), "labels": str(table), "size": SIZE}
    told = Cutter()
    with pytest.raises(DataError, match=r"has no line of 5.png"):
        drive(JOB, tmp_path / "w", given, overseer=told)
    assert [cycle.items for cycle in told.cycles] == [4]
    assert not (tmp_path / "w" / "images.zarr").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("small_chunks")
def test_a_table_that_changes_while_pictures_are_stored_is_refused(tmp_path):
    source = write_images(tmp_path / "s", [f"{n}.png" for n in range(9)])
    table = table_at(tmp_path, "".join(f"{n}.png {n}\n" for n in range(9)))

    class Changing(Cutter):
        def committed(self, cycle, returned_bytes):
            table.write_text(table.read_text().replace(" 7", " 3"))
            return super().committed(cycle, returned_bytes)

    given = {"source": str(source), "labels": str(table), "size": SIZE}
    with pytest.raises(DataError, match="was changed or replaced while"):
        drive(JOB, tmp_path / "w", given, overseer=Changing())
    assert not (tmp_path / "w" / "images.zarr").exists()
    # And by a worker that goes on where another one ended.
    assert drive(JOB, tmp_path / "v", given, leave_after=1) is None
    table.write_text(table.read_text().replace(" 3", " 7"))
    told = Cutter()
    with pytest.raises(DataError, match="was changed or replaced while"):
        drive(JOB, tmp_path / "v", given, overseer=told)
    assert not told.cycles


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"label": "A"}, UsageError),
        ({"label_key": "A"}, UsageError),
        ({"labels": "TABLE", "source": "faces:9"}, OptionValueError),
        ({"labels": "TABLE", "source": "ARRAY"}, OptionValueError),
        ({"labels": "gone.csv"}, DataError),
    ],
)
def test_options_of_labels_that_cannot_be_meant_are_refused(tmp_path, options, error):
    array, table = tmp_path / "a.npy", table_at(tmp_path, "a.png 1\n")
    np.save(array, np.zeros((2, 9, 9, 3), np.uint8))
    places = {"TABLE": str(table), "ARRAY": str(array)}
    given = {"source": str(tmp_path), **options}
    given = {name: places.get(value, value) for name, value in given.items()}
    with pytest.raises(error, match=r"--label|gone\.csv"):
        recipe_from_options(resolve_options("ingest", JOB.options, given))

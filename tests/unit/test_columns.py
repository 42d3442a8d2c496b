"""A table fits its terminal: cut between columns, with all of its cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.report.columns import format_columns

HEADER = ("job", "state", "n")
ROWS = [("train", "done", "9"), "all of it", ("encode", "stopped", "10")]
LEFT = frozenset({0, 1})

WORDS = st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=12)
TABLES = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(WORDS.filter(bool), min_size=n, max_size=n).map(tuple),
        st.lists(st.lists(WORDS, min_size=n, max_size=n).map(tuple), max_size=4),
    )
)


@pytest.mark.parametrize("width", [None, 19, 100])
def test_a_table_that_has_room_is_one(width):
    assert format_columns(HEADER, ROWS, left=LEFT, width=width) == [
        "job     state     n",
        "train   done      9",
        "all of it",
        "encode  stopped  10",
    ]


def test_one_that_has_not_is_cut_into_parts_that_begin_alike():
    assert format_columns(HEADER, ROWS, left=LEFT, width=18) == [
        "job     state",
        "train   done",
        "all of it",
        "encode  stopped",
        "",
        "job      n",
        "train    9",
        "all of it",
        "encode  10",
    ]


def test_what_has_no_room_beside_its_row_stands_below_it():
    header, row = ("job", "peak"), ("generate", "1.00 GiB of 2.00 GiB")
    assert format_columns(header, [row], left=LEFT, width=22) == [
        "job",
        "  peak",
        "generate",
        "  1.00 GiB of 2.00 GiB",
    ]


def test_parts_are_few_and_much_alike_in_width():
    header = ("k", "aaaa", "bbbb", "cccc", "dddd")
    lines = format_columns(header, [], width=20)
    assert lines == ["k  aaaa  bbbb", "", "k  cccc  dddd"]


@given(TABLES, st.integers(1, 60))
def test_no_line_is_wider_unless_a_word_is_and_no_cell_is_lost(table, width):
    header, rows = table
    lines = format_columns(header, rows, width=width)
    cells = [cell for row in (header, *rows) for cell in row if cell]
    longest_key = max(len(row[0]) for row in (header, *rows))
    longest = max(map(len, cells), default=0) + 2
    assert all(len(line) <= max(width, longest, longest_key) for line in lines)
    assert set(cells) <= {word for line in lines for word in line.split()}
    assert all(line == line.rstrip() for line in lines)

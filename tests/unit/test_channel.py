"""What a job prints on its way to the user: whole lines, none longer than a pipe takes."""

from __future__ import annotations

import select

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.base.lines import Lines, LineTooLongError
from lowmem.protocol.messages import Logged, Progressed, line_from_message
from lowmem.worker.channel import LONGEST_LINE, LineForwarder, cut, cut_middle

# Lone surrogates too, which no encoding can hold.
texts = st.text(st.characters(codec=None))
pieces = st.lists(texts)


class Shown:
    """Takes lines as a channel does."""

    def __init__(self):
        self.lines = []

    def show_line(self, text, *, n_dropped=0):
        self.lines.append(cut(text, n_dropped=n_dropped))


@given(text=texts, times=st.integers(1, 5000), n_dropped=st.integers(0, 10**12))
def test_a_line_of_any_text_is_taken_whole_by_a_pipe(text, times, n_dropped):
    shown = cut(text * times, n_dropped=n_dropped)
    for message in (
        Logged(text=shown, is_kept=True),
        Progressed(done=2**62, total=2**62, note=shown),
    ):
        assert len(line_from_message(message)) <= select.PIPE_BUF


@given(text=st.text(max_size=100), n_dropped=st.integers(0, 3))
def test_a_line_that_is_not_too_long_is_left_as_it_is(text, n_dropped):
    assert cut(text) == text
    assert (cut(text, n_dropped=n_dropped) == text) == (n_dropped == 0)


@given(parts=pieces)
def test_lines_are_the_same_in_whatever_pieces_they_are_printed(parts):
    at_once, by_piece = Shown(), Shown()
    for shown, given_parts in ((at_once, ["".join(parts)]), (by_piece, parts)):
        stream = LineForwarder(shown)
        for part in given_parts:
            assert stream.write(part) == len(part)
        stream.flush()
    assert at_once.lines == by_piece.lines


@pytest.mark.parametrize("n_pieces", [1, 7])
def test_of_a_line_without_an_end_only_what_is_shown_is_kept(n_pieces):
    shown = Shown()
    stream = LineForwarder(shown)
    for _ in range(n_pieces):
        stream.write("x" * 10**6)
    assert len(stream._rest) <= LONGEST_LINE
    stream.write("\n")
    n_left = n_pieces * 10**6 - LONGEST_LINE
    assert shown.lines == [f"{'x' * LONGEST_LINE} ... [{n_left:,} more characters]"]


@given(text=st.text(), longest=st.integers(1, 20))
def test_an_error_keeps_its_beginning_and_its_end(text, longest):
    shown = cut_middle(text, longest)
    assert shown.startswith(text[:longest])
    assert shown.endswith(text[-longest:])
    assert len(shown) <= 2 * longest + 40
    assert cut_middle(text, len(text)) == text


@given(lines=st.lists(st.binary()), sizes=st.lists(st.integers(1, 9), min_size=1))
def test_lines_that_arrive_in_pieces_are_put_together(lines, sizes):
    whole = [line.replace(b"\n", b"") for line in lines]
    data = b"".join(line + b"\n" for line in whole)
    found, arrived, place = Lines(), [], 0
    while place < len(data):
        size = sizes[place % len(sizes)]
        arrived += found.take(data[place : place + size])
        place += size
    assert arrived == whole
    assert found.rest == b""


def test_a_line_that_does_not_end_is_refused():
    found = Lines(longest_bytes=10)
    assert found.take(b"x" * 10) == []
    with pytest.raises(LineTooLongError):
        found.take(b"x")

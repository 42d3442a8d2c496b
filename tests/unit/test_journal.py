"""The journal: whole lines in order, or an error that names the line."""

from __future__ import annotations

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.base.errors import CorruptFileError, StorageError
from lowmem.base.journal import JournalWriter, read_bodies

BODIES = [b'{"n":%d}' % n for n in range(4)]


@pytest.fixture
def journal(tmp_path):
    path = tmp_path / "journal.jsonl"
    with JournalWriter(path) as writer:
        for body in BODIES:
            writer.append(body)
    return path


def test_what_was_appended_is_read_in_order(journal):
    assert list(read_bodies(journal)) == BODIES


def test_no_journal_has_no_lines(tmp_path):
    assert list(read_bodies(tmp_path / "none")) == []


def test_a_line_torn_anywhere_ends_the_journal_and_the_next_one_follows_whole(journal):
    data = journal.read_bytes()
    last = len(data.splitlines(keepends=True)[-1])
    for kept in range(len(data) - last, len(data)):
        journal.write_bytes(data[:kept])
        assert list(read_bodies(journal)) == BODIES[:-1]
        with JournalWriter(journal) as writer:
            writer.append(b'{"n":9}')
        assert list(read_bodies(journal)) == [*BODIES[:-1], b'{"n":9}']


@given(data=st.data())
def test_a_flipped_bit_before_the_last_line_is_an_error_that_names_a_line(
    tmp_path_factory, data
):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with JournalWriter(path) as writer:
        for body in BODIES:
            writer.append(body)
    content = bytearray(path.read_bytes())
    end = len(content) - len(path.read_bytes().splitlines(keepends=True)[-1])
    place = data.draw(st.integers(0, end - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"line \d is damaged"):
        list(read_bodies(path))


def test_a_refused_line_leaves_no_trace_and_the_next_one_is_whole(journal, monkeypatch):
    with JournalWriter(journal) as writer:
        real = os.fsync

        def full(_descriptor):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            writer.append(b'{"lost":true}')
        monkeypatch.setattr(os, "fsync", real)
        writer.append(b'{"n":9}')
    assert list(read_bodies(journal)) == [*BODIES, b'{"n":9}']

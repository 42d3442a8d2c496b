"""Two journals are of one history, or not: decided from their bytes alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lowmem.base.journal import line_from_body
from lowmem.mirror.lineage import is_ahead, is_damaged, rejoined
from lowmem.mirror.precedence import (
    Commit,
    JournalClaims,
    choice_of_job,
    choice_of_result,
    told_by,
)
from lowmem.protocol.records import JobBegun, JobEnded

LINES = [line_from_body(b'{"n":%d}' % n) for n in range(9)]
OTHER = [line_from_body(b'{"other":%d}' % n) for n in range(9)]


def joined(lines):
    return b"".join(lines)


def spoilt(line):
    return line[:20] + b"\x00" + line[21:]


@given(ours=st.integers(0, 9), theirs=st.integers(0, 9))
def test_a_journal_is_behind_where_it_is_the_beginning_of_the_other(ours, theirs):
    found = is_ahead(joined(LINES[:ours]), joined(LINES[:theirs]))
    assert found == (0 < ours < theirs)


@given(parted=st.integers(0, 7), ours=st.integers(1, 8), theirs=st.integers(1, 8))
def test_journals_that_have_parted_are_never_taken_for_one(parted, ours, theirs):
    mine = joined(LINES[: parted + ours])
    other = joined(LINES[:parted] + OTHER[: max(theirs, 1)])
    assert not is_ahead(mine, other)
    assert not is_ahead(other, mine)
    assert rejoined(mine, other) is None


@given(
    damaged=st.sets(st.integers(0, 8), max_size=8),
    ours=st.integers(1, 9),
    theirs=st.integers(1, 9),
)
def test_damaged_lines_come_back_as_they_were_and_no_whole_one_goes(
    damaged, ours, theirs
):
    mine = [spoilt(x) if n in damaged else x for n, x in enumerate(LINES[:ours])]
    found = rejoined(joined(mine), joined(LINES[:theirs]))
    whole_in_both = [n for n in range(min(ours, theirs)) if n not in damaged]
    if not whole_in_both:
        assert found is None
        return
    # Up to the last line that both have: a later damaged one may be where they part.
    n_sure = whole_in_both[-1] + 1
    expected = [*LINES[:n_sure], *mine[n_sure:]]
    assert found == joined(expected)
    assert is_damaged(found) == any(n in damaged for n in range(n_sure, ours))


def ended(job, names, digest):
    return [
        JobBegun(job=job, at=f"{job} began", reference=job, recipe={}, unit="rows"),
        JobEnded(
            job=job,
            at="",
            state="done",
            exit_code=0,
            published=names,
            results_sha256=digest,
        ),
    ]


INGEST = ended("ingest", ("images.zarr",), "1")
APPEND = ended("append", ("images.zarr",), "2")


def test_results_give_way_only_to_later_ones_of_their_own_history():
    old, new, none = told_by(INGEST), told_by([*INGEST, *APPEND]), JournalClaims()
    assert choice_of_result("images.zarr", old, new) == "place"
    assert choice_of_result("images.zarr", old, old) == "leave"
    # No journal tells where it came from: it may be the user's.
    assert choice_of_result("images.zarr", none, new) == "keep"
    assert choice_of_result("mine.txt", old, new) == "keep"


def test_work_gives_way_unless_it_is_as_new_and_of_the_same_beginning():
    here = JournalClaims(begun={"train": "10:00"})
    again = JournalClaims(begun={"train": "11:00"})
    fifth = Commit(generation=5, recipe={"seed": 1})
    sixth = Commit(generation=6, recipe={"seed": 1})
    other = Commit(generation=7, recipe={"seed": 2})

    def choice(own, theirs, there=here, told=here):
        return choice_of_job("train", told, there, own, theirs)

    assert choice(fifth, sixth) == "place"
    assert choice(sixth, sixth) == "leave"
    assert choice(sixth, fifth) == "leave"
    assert choice(None, fifth) == "place"
    assert choice(other, sixth) == "place"
    assert choice(sixth, fifth, there=again) == "place"
    # A journal that is gone altogether says nothing of when it began.
    assert choice(sixth, fifth, told=JournalClaims()) == "leave"

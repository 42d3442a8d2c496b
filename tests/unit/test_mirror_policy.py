"""What is kept, tried again and believed of a mirror: decisions without I/O."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from lowmem.mirror.names import About, ArchiveName, archive_name, is_safe
from lowmem.mirror.policy import (
    KEPT_GENERATIONS,
    Generation,
    expired,
    own,
    prefix_digests,
    wait_s,
)

JOURNAL = bytes(range(256)) * 4


def generation(
    sequence, job="train", *, is_marked=True, archives=(), journal=JOURNAL, token=None
):
    name = ArchiveName(sequence, job, token or f"{sequence:08x}")
    about = About(
        job=job,
        generation=sequence,
        is_done=False,
        sequence=sequence,
        journal_sha256=hashlib.sha256(journal[:sequence]).hexdigest(),
        at=f"{sequence:09d}",
    )
    return Generation(name, about, is_marked, archives=frozenset(archives))


@given(st.integers(0, 10**12 - 1), st.sampled_from(["train", "my-job_2", "a"]))
def test_a_name_says_again_what_it_was_made_of(sequence, job):
    for kind in ("generation", "data"):
        name = ArchiveName(sequence, job, "0badcafe", kind)
        assert archive_name(str(name)) == name


def test_names_of_others_are_no_archives():
    for text in (
        "train.lowmem",
        "train-000000000001-0badcafe.lowmem.ok",
        "train-000000000001-0badcafe (1).lowmem",
        "../train-000000000001-0badcafe.lowmem",
        "train-000000000001-0badcafe.lowmem\n",
    ):
        assert archive_name(text) is None


def test_nothing_leads_out_of_its_place():
    for path in (
        "/etc/passwd",
        "../x",
        "model/../../x",
        "",
        ".",
        "model//x",
        "./model",
        ".lowmem/lock",
        ".lowmem/jobs/other/checkpoints/gen-1/state.npz",
        ".lowmem/jobs/train/worker.log",
        ".lowmem/jobs/train/staging",
        "report.html",
        "a\0b",
    ):
        assert not is_safe(path, "train"), path
    for path in (
        "model/encoder.keras",
        ".lowmem/jobs/train/checkpoints/gen-00000001/state.npz",
        ".lowmem/jobs/train/staging/images.zarr/images/c.0.0.0.0",
        "lowmem.toml",
    ):
        assert is_safe(path, "train"), path


@given(st.lists(st.integers(0, 2000)))
def test_prefixes_have_the_digests_of_their_bytes(lengths):
    found = prefix_digests(JOURNAL, lengths)
    assert found == {
        n: hashlib.sha256(JOURNAL[:n]).hexdigest() for n in lengths if n <= len(JOURNAL)
    }


def test_only_what_the_journal_continues_is_its_own():
    other = generation(700, journal=JOURNAL[:600] + b"x" * 400)
    longer = generation(1025, journal=JOURNAL + b"more")
    mine = [generation(100), generation(600)]
    assert own([other, longer, *mine], JOURNAL) == list(reversed(mine))


@given(
    st.lists(
        st.tuples(
            st.integers(1, 1000),
            st.sampled_from(["a", "b"]),
            st.booleans(),
        ),
        unique_by=lambda g: g[0],
    )
)
def test_the_newest_three_that_are_marked_stay_and_no_more_of_them(drawn):
    mine = [generation(s, job, is_marked=marked) for s, job, marked in drawn]
    gone = set(expired(mine, mine, [], own_data=set()))
    for job in "ab":
        marked = sorted(
            (g.name for g in mine if g.name.job == job and g.is_marked), reverse=True
        )
        kept = [name for name in marked if name not in gone]
        assert kept == marked[:KEPT_GENERATIONS]
        if len(marked) < KEPT_GENERATIONS:
            # A generation without its marker is a candidate, not garbage.
            assert not any(name.job == job for name in gone)


def test_data_stay_while_any_lineage_refers_to_them():
    data = [ArchiveName(n, "ingest", f"{n:08x}", "data") for n in range(1, 5)]
    mine = [generation(9, "ingest", archives=[str(data[0])])]
    other = generation(
        8, "ingest", archives=[str(data[1])], journal=b"other" * 9, token="f" * 8
    )
    gone = expired(mine, [*mine, other], data, own_data={str(d) for d in data[:3]})
    # The fourth is another machine's, which may be about to refer to it.
    assert gone == [data[2]]


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_waits_grow_to_a_minute_and_are_never_nothing(failures, chance):
    assert 0.5 <= wait_s(failures, chance) <= 60
    assert wait_s(failures + 1, chance) >= wait_s(failures, chance)

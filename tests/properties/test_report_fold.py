"""Whatever happens to a job, the report counts what it committed, once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lowmem.report.view import report_from_records
from tests.report_examples import History

happenings = st.one_of(
    st.tuples(st.just("commit"), st.integers(1, 500)),
    st.tuples(st.just("cut"), st.just(0)),
    st.tuples(st.just("fall back"), st.integers(1, 3)),
    st.tuples(st.just("restart"), st.just(0)),
)


@given(story=st.lists(happenings, max_size=30))
def test_items_of_committed_cycles_sum_to_the_items_on_the_disk(story):
    """`kept` is the model: the items of each commit that a restore would find."""
    history = History().begin().run().start(0)
    kept: list[int] = []
    for what, number in story:
        if what == "commit":
            history.cycle(len(kept), items=number, seconds=1.0)
            kept.append(number)
        elif what == "cut":
            history.cut(len(kept)).incident().start(len(kept))
        elif what == "fall back":
            del kept[-number:]
            history.start(len(kept))
        else:
            kept.clear()
            history.begin().start(0)
    job = report_from_records("/w", history.records, is_live=False).jobs["train"]
    assert [cycle.items for cycle in job.committed] == kept
    assert [cycle.index for cycle in job.committed] == list(range(len(kept)))
    assert job.items == sum(kept)

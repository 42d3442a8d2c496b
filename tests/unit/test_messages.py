from __future__ import annotations

import msgspec
import pytest

from lowmem.protocol import messages
from lowmem.protocol.messages import (
    Committed,
    Cycle,
    Describe,
    Described,
    Drain,
    Failed,
    Finished,
    Leave,
    Logged,
    Marked,
    Plan,
    Planned,
    PlannedRung,
    Proceed,
    Progressed,
    Run,
    Started,
    line_from_message,
)
from lowmem.protocol.option import Option
from lowmem.protocol.told_jobs import JobDescription, PlannedNeed

CYCLE = Cycle(
    index=1,
    items=2,
    started_at="2026-11-22T10:00:00.000Z",
    seconds=1.5,
    commit_seconds=0.25,
    settings={"block": 4},
)
REQUESTS = [
    Describe(jobs=("train", "a b.py")),
    Plan(
        reference="train",
        workspace="/w",
        options={"name": "line\nbreak \u00e9", "sizes": [1, 2], "none": None},
        pins={"block": 4},
        seed=1,
        device="gpu",
        ram_budget_bytes=2**40,
    ),
    Run(
        reference="train",
        job="train",
        workspace="/w",
        options={"rate": 0.1},
        settings={},
        recipe={"seed": 1},
        seed=2**63 - 1,
        device="cpu",
        ram_budget_bytes=1,
        vram_budget_bytes=None,
        cycle_steps=None,
    ),
]
ORDERS = [Drain(), Proceed(), Leave()]
OPTION = Option(name="size", kind="int", default=3, choices=(), minimum=1)
ANSWERS = [
    Described(
        jobs=(JobDescription(name="j", summary="s", unit="u", options=(OPTION,)),)
    ),
    Planned(
        rungs=(PlannedRung(settings={"b": 1}, ram_bytes=None, vram_bytes=2),),
        missing=(PlannedNeed(path="/w/x", job="ingest", options=None),),
        recipe={"seed": 1},
    ),
    Started(
        device="cpu", next_cycle=2, last_cycle=CYCLE, versions={"numpy": "2"}, note="n"
    ),
    Progressed(done=1, total=None, note=""),
    Logged(text="a line\r with \u2028 oddities"),
    Marked(items=3, parts={"state['n']": "a1"}),
    Committed(cycle=CYCLE, ram_returned_bytes=None),
    Finished(published=("a",), summary={"x": [1.5]}),
    Failed(kind="E", exit_code=70, message="m", traceback="t\nt", where=None),
]


@pytest.mark.parametrize(
    ("message", "read"),
    [(m, messages.request_from_line) for m in REQUESTS]
    + [(m, messages.order_from_line) for m in ORDERS]
    + [(m, messages.answer_from_line) for m in ANSWERS],
    ids=lambda value: (
        type(value).__name__ if value in REQUESTS + ORDERS + ANSWERS else ""
    ),
)
def test_every_message_is_one_line_and_reads_back_the_same(message, read):
    line = line_from_message(message)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert read(line) == message


def test_every_message_that_may_cross_is_tried_above():
    tried = {type(m) for m in REQUESTS + ORDERS + ANSWERS}
    # Those of the mirror are tried in test_mirror_messages.
    here = messages.__name__
    assert tried == {
        m for m in messages.Message.__subclasses__() if m.__module__ == here
    }


def test_a_message_for_the_other_end_is_refused():
    with pytest.raises(msgspec.ValidationError):
        messages.request_from_line(line_from_message(Drain()))
    with pytest.raises(msgspec.ValidationError):
        messages.answer_from_line(line_from_message(REQUESTS[0]))
    with pytest.raises(msgspec.DecodeError):
        messages.order_from_line(b"{half a line\n")

"""What crosses between the supervisor and the mirror's process reads back the same."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from lowmem.protocol import mirror_messages
from lowmem.protocol.messages import Message, line_from_message
from lowmem.protocol.mirror_messages import (
    Answered,
    AtRest,
    Discard,
    Discarded,
    Durable,
    Fetch,
    Fetched,
    FetchedFile,
    FinishMirror,
    FoundJournal,
    FoundJournals,
    HeldGeneration,
    Inspect,
    Inspected,
    JobCommitted,
    JobDone,
    Journals,
    Keep,
    Mended,
    Overtaken,
    Recover,
    RecoveredJob,
    Shared,
    StaysHere,
    StillReading,
    Troubled,
    mirror_answer_from_line,
    mirror_order_from_line,
    mirror_request_from_line,
)

PLACE = {"url": "file:///m\nö", "workspace": "/w"}
GENERATION = HeldGeneration(
    name="a",
    job="train",
    generation=3,
    is_done=True,
    is_marked=False,
    is_own=True,
    is_current=True,
    problem="cut",
    results_sha256="0" * 64,
)
REQUESTS = [
    Recover(**PLACE),
    Keep(**PLACE, has_data=True),
    Inspect(**PLACE),
    Fetch(**PLACE, folder="/f", sha256={"model/encoder.keras": "0" * 64, "m": ""}),
    Discard(**PLACE, names=("a", "b")),
    Journals(url="file:///m\nö", folder="/f"),
]
ORDERS = [
    JobCommitted(job="train", generation=3),
    JobDone(job="train", generation=4, published=("model",)),
    FinishMirror(),
]
ANSWERS = [
    Answered(
        jobs=(RecoveredJob(job="train", generation=3, is_done=False, at="now"),),
        notes=("line\nbreak",),
    ),
    Durable(job="train", generation=3, is_done=False),
    Overtaken(job="ingest", generation=3),
    StaysHere(job="ingest", n_bytes=2**40, is_done=True),
    Troubled(problem="full"),
    Mended(),
    Shared(n_generations=2),
    AtRest(),
    Inspected(
        generations=(GENERATION,),
        nameless=("n",),
        fragments=("f", "o"),
        own_fragments=("o",),
    ),
    Fetched(files=(FetchedFile(path="model", name="0", archive="a"),)),
    Discarded(names=("a",)),
    FoundJournals(
        files=(FoundJournal(name="0", workspace="w"),), damaged=("/m/w/a.lowmem",)
    ),
    StillReading(),
]
READERS = (
    [(message, mirror_request_from_line) for message in REQUESTS]
    + [(message, mirror_order_from_line) for message in ORDERS]
    + [(message, mirror_answer_from_line) for message in ANSWERS]
)


@pytest.mark.parametrize(
    ("message", "read"), READERS, ids=[type(message).__name__ for message, _ in READERS]
)
def test_every_message_is_one_line_and_reads_back_the_same(message, read):
    line = line_from_message(message)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert read(line) == message


def test_every_message_of_the_mirror_is_tried_above():
    homes = {mirror_messages.__name__}
    defined = {kind for kind in Message.__subclasses__() if kind.__module__ in homes}
    assert {type(message) for message, _ in READERS} == defined
    readable = {
        *get_args(mirror_messages.MirrorRequest),
        *get_args(mirror_messages.MirrorOrder),
        *get_args(mirror_messages.MirrorAnswer),
    }
    assert defined <= readable


def test_a_message_for_the_other_end_is_refused():
    with pytest.raises(msgspec.ValidationError):
        mirror_request_from_line(line_from_message(AtRest()))
    with pytest.raises(msgspec.ValidationError):
        mirror_answer_from_line(line_from_message(REQUESTS[0]))

"""Who made a result is told by the journal, whatever was appended or repaired since."""

from __future__ import annotations

from lowmem.history.fold import history_of
from lowmem.history.provenance import makers_of, owned, owners_of
from lowmem.protocol.records import JobBegun, JobEnded

NAMES = ("images.zarr", "report.csv")


def begun(job, number=0):
    recipe = {"number": number}
    return JobBegun(job=job, at="", reference=job, recipe=recipe, unit="images")


def ended(job, published=NAMES, state="done", digest="1"):
    return JobEnded(
        job=job,
        at="",
        state=state,
        exit_code=0,
        published=published,
        results_sha256=digest,
    )


INGEST = [begun("ingest"), ended("ingest")]
APPEND = [begun("append"), ended("append", digest="2")]
MORE = [begun("append", 1), ended("append", digest="3")]


def adds(run):
    return run.job == "append"


def numbers(makers):
    return [(run.job, run.begun.recipe["number"]) for run in makers]


def test_a_result_belongs_to_the_job_that_published_it_last():
    records = [*INGEST, begun("encode"), ended("encode", ("latents.zarr",)), *APPEND]
    owners = owners_of(history_of(records))
    assert owners == {
        "images.zarr": "append",
        "report.csv": "append",
        "latents.zarr": "encode",
    }
    assert owned(NAMES, "ingest", owners) == []
    assert owned(NAMES, "append", owners) == list(NAMES)


def test_a_repair_of_what_was_there_before_takes_nothing_from_who_added_to_it():
    """It records the former end again; what was appended must stay the append's."""
    assert owners_of(history_of([*INGEST, *APPEND, ended("ingest")])) == owners_of(
        history_of([*INGEST, *APPEND])
    )


def test_an_end_whose_beginning_is_lost_counts_all_the_same():
    assert owners_of(history_of([*INGEST, APPEND[1]]))["images.zarr"] == "append"
    (_, last) = history_of([*INGEST, APPEND[1]]).done
    assert last.begun is None
    # Also where it is the second life of its job.
    assert len(history_of([*INGEST, *APPEND, MORE[1]]).done) == 3


def test_an_end_that_was_not_a_good_one_makes_nothing():
    records = [*INGEST, begun("append"), ended("append", state="stopped")]
    assert owners_of(history_of(records))["images.zarr"] == "ingest"


def test_the_makers_are_all_since_the_result_was_begun_from_nothing():
    one = [("ingest", 0), ("append", 0), ("append", 1)]
    records = [*INGEST, *APPEND, *MORE]
    assert numbers(makers_of("images.zarr", history_of(records), adds)) == one
    assert numbers(makers_of("report.csv", history_of([*MORE, *records]), adds)) == one
    again = [*records, begun("ingest", 2), ended("ingest", digest="4")]
    assert numbers(makers_of("images.zarr", history_of(again), adds)) == [("ingest", 2)]
    assert makers_of("model", history_of(records), adds) == ()

"""From where on equality to the bit is not promised, as the report says it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from lowmem.report.figures import Gallery
from lowmem.report.page import page_from_report
from lowmem.report.schema import json_from_report
from lowmem.report.text import text_from_report
from lowmem.report.view import report_from_records
from tests.report_examples import History

GPU = {"device": "gpu", "device_name": "Tesla T4"}


def report_of(history):
    return report_from_records("/w", history.records, is_live=False)


def moved():
    """Return a training of 3 cycles on a GPU, 2 on the CPU, and 1 on the GPU again."""
    history = History().begin().run().start(0, **GPU)
    for index in range(3):
        history.cycle(index, items=100)
    history.cut(3).incident(
        verdict="error", action="the GPU was lost: went on on the CPU"
    )
    history.start(3).cycle(3, items=100).cycle(4, items=100)
    history.end("stopped", 75).run().start(5, **GPU).cycle(5, items=100)
    return history.end()


def test_a_move_between_devices_is_told_with_its_cycle_and_what_was_done_before():
    job = report_of(moved()).jobs["train"]
    assert [(c.cycle, c.attempt, c.items_before) for c in job.changes] == [
        (3, 2, 300),
        (5, 3, 500),
    ]
    assert job.changes[0].what == "from Tesla T4 to the CPU"
    assert [w.device for w in job.workers] == ["gpu", "cpu", "gpu"]


def test_text_json_and_page_say_it():
    report = report_of(moved())
    text = " ".join(text_from_report(report).split())
    page = page_from_report(
        report,
        readings={},
        gallery=Gallery(figures=(), left_out=()),
        generated_at=datetime(2026, 11, 22, tzinfo=UTC),
    )
    for shown in (text, " ".join(page.split())):
        assert "gpu (Tesla T4) in attempt 1, cpu in attempt 2" in shown
        assert (
            "from Tesla T4 to the CPU: from cycle 3 on, after 300 images, equality to "
            "the bit with an unbroken run is not promised" in shown
        )
    document = msgspec.json.decode(json_from_report(report))
    (job,) = document["jobs"].values()
    assert [worker["device"] for worker in job["workers"]] == ["gpu", "cpu", "gpu"]
    assert [change["cycle"] for change in job["changes"]] == [3, 5]


def test_an_attempt_whose_work_was_lost_changes_nothing():
    history = History().begin().run().start(0, **GPU).cycle(0)
    history.start(1).cut(1).start(1, **GPU).cycle(1).end()
    assert report_of(history).jobs["train"].changes == ()
    # Its commit was rolled back: the work on the CPU was done again on the GPU.
    history = History().begin().run().start(0, **GPU).cycle(0)
    history.start(1).cycle(1).start(1, **GPU).cycle(1).end()
    assert report_of(history).jobs["train"].changes == ()


def test_another_release_of_a_library_or_another_gpu_is_a_change_too():
    newer = {"python": "3.11.9", "keras": "3.16.0"}
    history = History().begin().run().start(0, **GPU).cycle(0)
    history.start(1, **GPU | {"device_name": "L4"}, versions=newer).cycle(1).end()
    (change,) = report_of(history).jobs["train"].changes
    assert change.what == "from Tesla T4 to L4; from keras 3.15.0 to 3.16.0"


def test_python_zarr_and_the_backend_are_named_but_not_what_older_records_lack():
    older = {"zarr": "3.1.6", "tensorflow": "2.21.0", "jax": "0.7.2"}
    former = {"python": "3.11.7", "zarr": "3.1.6", "backend": "tensorflow"}
    newer = {"python": "3.13.0", "zarr": "3.4.2", "backend": "jax", "jax": "0.12.0"}
    history = History().begin().run().start(0, versions=older).cycle(0)
    history.start(1, versions=former).cycle(1).start(2, versions=newer).cycle(2).end()
    (change,) = report_of(history).jobs["train"].changes
    assert (change.cycle, change.what) == (
        2,
        (
            "from python 3.11.7 to 3.13.0; from zarr 3.1.6 to 3.4.2; "
            "from backend tensorflow to jax"
        ),
    )


def test_a_run_on_one_device_promises_equality_throughout():
    history = History().begin().run().start(0).cycle(0).start(1).cycle(1).end()
    job = report_of(history).jobs["train"]
    assert job.changes == ()
    assert "changed" not in text_from_report(report_of(history))


def test_a_stop_by_the_device_shows_the_reading_of_the_device():
    history = History().begin().run().start(0, **GPU).cut(0)
    history.incident(verdict="vram_limit", vram_bytes=3 * 2**30).end()
    assert "vram_limit in attempt 1 at VRAM 3.00 GiB" in text_from_report(
        report_of(history)
    )

from __future__ import annotations

import json

import pytest

from lowmem.memory.machine import Machine
from lowmem_jobs.ingest.codec_choice import (
    _disk_rate,
    choice_by_disk,
    choice_without_disk,
)
from lowmem_jobs.ingest.job import JOB
from tests.driver import Cutter, drive

SMALL = Machine(total_bytes=2**30, available_bytes=0)


def test_a_store_that_fits_the_page_cache_is_not_compressed_on_any_disk():
    large = 10**10
    assert choice_without_disk(large, large).codec == "none"
    assert choice_without_disk(large + 1, large) is None
    assert choice_without_disk(10**6, 0).codec == "none"


@pytest.mark.parametrize(
    ("rate", "codec"),
    [(2e9, "none"), (1e9, "none"), (0.9e9, "lz4"), (0.4e9, "lz4"), (0.3e9, "zstd")],
)
def test_the_slower_the_disk_the_stronger_the_codec(rate, codec):
    assert choice_by_disk(10**12, rate).codec == codec


@pytest.mark.slow
def test_measuring_the_disk_leaves_nothing_behind(tmp_path):
    assert _disk_rate(tmp_path / "probe") > 0
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_codec_is_chosen_once_said_kept_in_the_store_and_survives_a_cut(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("lowmem_jobs.ingest.ingest_recipe._CHUNK_ROWS", 7)
    monkeypatch.setattr("lowmem_jobs.ingest.codec_choice.read_machine", lambda: SMALL)
    monkeypatch.setattr("lowmem_jobs.ingest.codec_choice._SMALL_BYTES", 0)
    rates = iter([0.1e9])
    monkeypatch.setattr(
        "lowmem_jobs.ingest.codec_choice._disk_rate", lambda _: next(rates)
    )
    options = {"source": "faces:20", "size": 8}
    first = Cutter(leave_after=1)
    assert drive(JOB, tmp_path / "w", options, overseer=first) is None
    assert any("codec zstd" in line for line in first.lines)
    # Another measurement would end the iterator, and the job.
    summary = drive(JOB, tmp_path / "w", options)
    assert summary["codec"] == "zstd"
    store = tmp_path / "w/images.zarr"
    attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    assert "a second" in attributes["codec_reason"]
    array = json.loads((store / "images/zarr.json").read_text())
    assert array["codecs"][1]["configuration"]["cname"] == "zstd"
    plain = drive(JOB, tmp_path / "plain", {**options, "codec": "none"})
    assert plain["content_sha256"] == summary["content_sha256"]
    assert "codec_reason" not in plain

"""Labels of a table: the same after SIGKILL, made again by a repair, or not at all."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from PIL import Image

from lowmem_jobs.ingest.job import JOB
from tests import mirrors
from tests.driver import drive
from tests.processes import pipeline
from tests.processes.lowmem_runs import lowmem

pytestmark = [pytest.mark.process, pytest.mark.slow]
N_ROWS = 400
WHO = {f"{row:04}.png": f"person {row * 7919 % 30}" for row in range(N_ROWS)}
TABLE = "image,who\n" + "".join(f"{name},{WHO[name]}\n" for name in sorted(WHO)[::-1])
OTHER = TABLE.replace("person 4", "person 5")


@pytest.fixture
def killed(tmp_path, monkeypatch):
    """A workspace with an ingest that goes on after its processes were killed."""
    source, table = tmp_path / "faces", tmp_path / "people.csv"
    source.mkdir()
    for row, name in enumerate(WHO):
        pixels = np.random.default_rng(row).integers(0, 256, (9, 9, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(source / name)
    table.write_text(TABLE)
    words = ["--source", str(source), "--size", "8", "--chunk-rows", "50"]
    words += ["--labels", str(table), "--label", "who"]
    monkeypatch.setitem(pipeline.OPTIONS, "ingest", words)
    workspace = tmp_path / "killed"
    supervisor, worker = pipeline.start_and_wait_for_commits("ingest", workspace, 3)
    pipeline.kill(worker.pid)
    pipeline.kill(supervisor.pid)
    supervisor.wait(pipeline.DEADLINE_S)
    supervisor.stderr.close()
    assert not (workspace / "images.zarr").exists()
    return workspace


def results(workspace):
    found = mirrors.sums(workspace)
    return {n: s for n, s in found.items() if n.startswith(("images", "ingest"))}


def names_and_classes(workspace):
    group = zarr.open_group(workspace / "images.zarr", mode="r")
    classes = group["labels"].attrs["class_names"]
    rows = zip(group["names"][:], group["labels"][:], strict=True)
    return {name: classes[number] for name, number in rows}, classes


def test_labels_of_a_killed_ingest_are_those_of_one_that_was_not(killed, tmp_path):
    table = tmp_path / "people.csv"
    # Another table is no table of this ingest: nothing of it goes on.
    table.write_text(OTHER)
    words = pipeline.OPTIONS["ingest"]
    other = lowmem("run", "ingest", "--workspace", killed, *words)
    assert (other.status, "labels (data)" in other.err) == (2, True), other
    table.write_text(TABLE)
    pipeline.run("ingest", killed)
    options = dict(
        zip((w[2:].replace("-", "_") for w in words[::2]), words[1::2], strict=True)
    )
    drive(JOB, tmp_path / "whole", {**options, "size": 8, "chunk_rows": 50})
    whole = results(tmp_path / "whole")
    assert results(killed) == whole
    assert names_and_classes(killed) == (WHO, sorted(set(WHO.values())))
    # A repair makes them again, beside a chunk of images alone; of no other table.
    for name in ("labels/c.0", "images/c.2.0.0.0"):
        damaged = killed / "images.zarr" / name
        content = bytearray(damaged.read_bytes())
        content[5] ^= 1
        damaged.write_bytes(content)
    found = results(killed)
    table.write_text(OTHER)
    refused = lowmem("verify", killed, "--repair")
    assert (refused.status, "labels (data)" in refused.out) == (65, True), refused
    assert results(killed) == found
    table.write_text(TABLE)
    ended = lowmem("verify", killed, "--repair")
    assert ended.status == 0, ended
    assert results(killed) == whole

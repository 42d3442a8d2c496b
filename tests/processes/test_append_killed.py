"""An append whose processes are killed: the same command ends it, once."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import zarr
from PIL import Image

from tests.processes import pipeline

pytestmark = [pytest.mark.process, pytest.mark.slow]
N_OLD, N_NEW = 150, 400


def write_images(folder, start, stop):
    folder.mkdir()
    for index in range(start, stop):
        pixels = np.random.default_rng(index).integers(0, 256, (9, 9, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index:04}.png")
    return str(folder)


def lowmem(*words):
    line = [sys.executable, "-m", "lowmem", *words]
    return subprocess.run(
        line, capture_output=True, text=True, timeout=120, check=False
    )


def names_in(workspace):
    return list(zarr.open_group(workspace / "images.zarr", mode="r")["names"][:])


@pytest.fixture
def grown(tmp_path, monkeypatch):
    """A workspace with a store and an append whose worker and supervisor were killed."""
    workspace = tmp_path / "w"
    ingest = ["--source", write_images(tmp_path / "old", 0, N_OLD), "--size", "8"]
    more = ["--source", write_images(tmp_path / "new", N_OLD, N_OLD + N_NEW)]
    monkeypatch.setitem(pipeline.OPTIONS, "ingest", ingest)
    monkeypatch.setitem(pipeline.OPTIONS, "append", more)
    pipeline.run("ingest", workspace)
    before = names_in(workspace)
    supervisor, worker = pipeline.start_and_wait_for_commits("append", workspace, 2)
    pipeline.kill(worker.pid)
    pipeline.kill(supervisor.pid)
    supervisor.wait(pipeline.DEADLINE_S)
    supervisor.stderr.close()
    assert names_in(workspace) == before, "half an append is visible"
    pipeline.run("append", workspace)
    return workspace


def test_a_killed_append_goes_on_and_its_command_appends_only_once(grown, tmp_path):
    expected = [f"{index:04}.png" for index in range(N_OLD + N_NEW)]
    assert names_in(grown) == expected
    pipeline.run("append", grown)
    assert names_in(grown) == expected
    # Another source needs no --restart, and the first one then is still there.
    other = write_images(tmp_path / "other", 900, 903)
    base = ["run", "append", "--workspace", str(grown), "--source"]
    assert lowmem(*base, other).returncode == 0
    back = lowmem(*base, str(tmp_path / "new"))
    assert "append is done already" in back.stderr
    assert len(names_in(grown)) == len(expected) + 3
    # Other files of names that are all there bring nothing, twice, and harm nothing.
    again = write_images(tmp_path / "again", 900, 902)
    for _ in range(2):
        nothing = lowmem(*base, again)
        assert nothing.returncode == 0, nothing.stderr
        assert "nothing new: 2 images" in nothing.stderr
        assert len(names_in(grown)) == len(expected) + 3
    # What ingest recorded of the store is no longer what it must be.
    found = lowmem("verify", str(grown), "--json")
    assert found.returncode == 0, found.stdout + found.stderr
    assert json.loads(found.stdout)["findings"] == []
    pipeline.run("ingest", grown)
    assert len(names_in(grown)) == len(expected) + 3
    # A new ingest drops what was appended, and the append is to be made again.
    assert lowmem(*pipeline.command("ingest", grown)[3:], "--restart").returncode == 0
    assert len(names_in(grown)) == N_OLD
    pipeline.run("append", grown)
    assert names_in(grown) == expected

"""After a disconnect the same cells end with the same bytes."""

from __future__ import annotations

import pytest

from tests import mirrors
from tests.notebooks.machines import PATIENCE_S, Machine
from tests.processes.lowmem_runs import until

pytest.importorskip("ipykernel", reason="no Jupyter kernel is installed")
pytest.importorskip("nbclient", reason="no Jupyter client is installed")

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.keras]

SETTINGS = {
    "MIRROR": "mirror",
    "OPTIONS": [
        "--ram-budget", "2G", "--source", "faces:300", "--size", "32", "--epochs", "2",
        "--latent-dim", "4", "--filters", "4,8", "--count", "8", "--no-figures",
        "--cycle-steps", "2",
    ],
}  # fmt: skip


def bytes_of_results(work):
    """Return the SHA-256 of every file but the journal's and the page of times."""
    found = mirrors.sums(work)
    return {
        path: sha256
        for path, sha256 in found.items()
        if not path.startswith(".lowmem") and path != "report.html"
    }


def test_a_machine_lost_in_the_middle_and_the_same_cells_on_a_new_one(tmp_path):
    drive = tmp_path / "drive"
    first = Machine(tmp_path / "vm-1", drive)
    with first.executing("disconnect", **SETTINGS) as process:
        mirror = drive / "mirror" / "lowmem-work"
        has_ended = process.poll
        until(
            lambda: (
                len(list(mirror.glob("train-*.ok"))) >= 2 or has_ended() is not None
            ),
            patience_s=PATIENCE_S,
        )
        assert process.poll() is None, "the notebook ended before it was cut"
        first.lose(process)
    second = Machine(tmp_path / "vm-2", drive)
    done = second.execute("disconnect", **SETTINGS)
    assert done.errors == []
    assert "recovered from" in done.text
    assert done.text.count("the same in both") >= 6
    one = bytes_of_results(second.disk / "lowmem-work")
    two = bytes_of_results(second.disk / "undisturbed")
    assert {"model/autoencoder.keras", "generated/z.npy"} <= set(one)
    assert one == two

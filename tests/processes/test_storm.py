"""A few kills at moments drawn by chance; `benchmarks/kill_storm.py` sends hundreds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.processes import pipeline, storm

pytestmark = [pytest.mark.process, pytest.mark.slow]


def test_a_job_that_is_killed_at_random_moments_ends_as_if_it_were_not(tmp_path):
    words = ["--source", "faces:600", "--size", "16", "--cycle-steps", "1"]
    reference, workspace = tmp_path / "reference", tmp_path / "w"
    for space, n_kills in ((reference, 0), (workspace, 2)):
        one = storm.Storm(
            job="ingest",
            workspace=space,
            words=[*words, "--workspace", str(space), "--ram-budget", "1G"],
            draw=np.random.default_rng(3),
        )
        one.run(n_kills)
    assert sum(one.kills.values()) > 0
    assert storm.audit(workspace, reference) == []
    # The audit notices: one item less, one byte other.
    (workspace / "ingest-report.csv").write_bytes(b"")
    assert len(storm.audit(workspace, reference)) == 2
    assert set(pipeline.RESULTS["ingest"]) <= {p.name for p in workspace.iterdir()}

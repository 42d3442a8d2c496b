"""What `train` and `encode` are predicted to need is what their runs take.

`benchmarks/plan.py train encode` prints such peaks for more models.
"""

from __future__ import annotations

import os

import pytest

from lowmem.base.backends import find_backend
from lowmem.base.workspace import Workspace
from lowmem.protocol.options import resolve_options
from lowmem.protocol.planning import PlanContext
from lowmem.report.read import read_report
from lowmem.supervisor.order import SUPERVISOR_BYTES
from lowmem_jobs.encode.job import JOB as ENCODE
from lowmem_jobs.train.job import JOB as TRAIN
from tests.processes.lowmem_runs import lowmem

pytestmark = [
    pytest.mark.keras,
    pytest.mark.slow,
    pytest.mark.memory,
    pytest.mark.process,
]

TRAINING = {"epochs": 1, "batch_size": 64}
BUDGET_BYTES = 2 * 10**9


def test_training_and_encoding_take_what_is_predicted(tmp_path):
    run(tmp_path, "ingest", "--source", "faces:256", "--size", 64)
    for name, job, options in (("train", TRAIN, TRAINING), ("encode", ENCODE, {})):
        ctx = PlanContext(
            workspace=Workspace.at(tmp_path),
            options=resolve_options(name, job.options, options),
            seed=0,
            device="cpu",
            ram_budget_bytes=BUDGET_BYTES,
            backend=find_backend(os.environ).require(),
        )
        predicted = job.predict(ctx, job.ladder(ctx)[0]).ram_bytes + SUPERVISOR_BYTES
        words = [
            word
            for option, value in options.items()
            for word in (f"--{option.replace('_', '-')}", value)
        ]
        run(tmp_path, name, *words)
        # Of the whole tree of processes, as the budget counts it.
        report = read_report(Workspace.at(tmp_path), is_live=False)
        peak = report.jobs[name].ram_peak_bytes
        # The formula is a first guess, which trials correct. How many of TensorFlow's
        # buffers live at once depends on how its threads meet: some 10 % of a peak.
        assert 0.8 * predicted < peak < 1.2 * predicted, (name, peak, predicted)


def run(space, name, *words):
    ended = lowmem(
        "run", name, "--workspace", space, "--ram-budget", BUDGET_BYTES, *words
    )
    assert ended.status == 0, ended.err

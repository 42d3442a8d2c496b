"""The course of an analysis: what its commits count on is on the disk."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from lowmem_jobs.analyze.stages import STAGES, AnalysisState


class Recorder:
    """A sweep that notes what is done to it."""

    def __init__(self):
        self.calls = []

    def add(self, start, block):
        self.calls.append(f"add {len(block)} from {start}")

    def arrays(self):
        return {}

    def flush(self):
        self.calls.append("flush")


def test_what_a_sweep_wrote_is_durable_before_its_stage_ends(tmp_path):
    context = SimpleNamespace(
        state={}, arrays={}, staging=tmp_path, progress=lambda *_: None
    )
    blocks = [(0, np.zeros((4, 2))), (4, np.zeros((1, 2)))]
    latents = SimpleNamespace(blocks_from=lambda _: iter(blocks))
    sweep = Recorder()
    points = list(AnalysisState(context, n_steps=3).sweep(STAGES[0], latents, sweep))
    # Nobody committed, so nobody flushed at the points themselves.
    assert sweep.calls == ["add 4 from 0", "add 1 from 4", "flush"]
    assert points[-1].state["stage"] == STAGES[1]

"""The lines at the end of a job, and of a command."""

from __future__ import annotations

import pytest

from lowmem.history.fold import history_of
from lowmem.pipeline.execute import line_of_next, lines_at_the_end
from lowmem.supervisor.progress import Progress
from lowmem.supervisor.user_messages import told_of_done
from tests.processes.lowmem_runs import lowmem
from tests.report_examples import killed_and_retried

# Its second and last worker does nothing and tells nothing.
TELLING = """
import lowmem

@lowmem.job(name="own")
def own(ctx):
    'Tell a loss once.'
    for done in range(ctx.state.get("done", 0) + 1, 3):
        if done == 1:
            ctx.progress(1, 2, "loss 0.25, val_loss 0.375")
        yield lowmem.CommitPoint(items=1, state={"done": done})
"""


@pytest.mark.parametrize(
    ("workspace", "command"),
    [
        ("/w", "lowmem run encode --workspace /w"),
        ("/my work", "lowmem run encode --workspace '/my work'"),
    ],
)
def test_a_job_that_is_done_tells_results_time_peak_and_what_is_next(
    workspace, command
):
    past = history_of(killed_and_retried().records).of("train")
    results, took = lines_at_the_end(
        past, workspace, took_s=75, ram_budget_bytes=3 * 10**9
    )
    assert results.split() == ["results", "model", "in", *workspace.split()]
    assert "1 min 15 s, RAM peak 2.00 GiB of 2.79 GiB (3 GB)" in took
    assert line_of_next("train", workspace) == f"  next     {command}"


def test_after_the_last_job_the_report_is_next():
    assert line_of_next("generate", "/w").endswith("lowmem report /w")
    assert line_of_next("count", "/w").endswith("lowmem report /w")


def test_a_job_that_told_a_loss_is_done_with_the_last_of_them():
    progress = Progress(job="train", unit="images", ram_budget_bytes=10**9)
    progress.moved(3, 6, "epoch 1/2, loss 0.5, val_loss 0.75, mae 0.1", 1.0)
    progress.moved(6, 6, "epoch 2/2, loss 0.25, val_loss 0.375, mae 0.1", 2.0)
    told = told_of_done("train", progress.standing(3.0).losses)
    assert told == "train is done\n  last     loss 0.25, val_loss 0.375"
    progress.moved(6, 6, "writing the model", 4.0)
    assert told_of_done("train", progress.standing(5.0).losses) == "train is done"


@pytest.mark.slow
@pytest.mark.process
def test_losses_of_a_worker_that_was_replaced_are_told_at_the_end(tmp_path):
    (tmp_path / "own.py").write_text(TELLING)
    words = ("--cycle-steps", "1", "--recycle-every", "1", "--device", "cpu")
    ended = lowmem("run", "own.py", *words, cwd=tmp_path)
    assert ended.status == 0, ended
    assert "own is done\n  last     loss 0.25, val_loss 0.375\n  results" in ended.err

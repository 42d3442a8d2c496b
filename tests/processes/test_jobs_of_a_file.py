"""A file of two jobs, from outside: one is run for the other, killed, and gone on with."""

from __future__ import annotations

import json
import random
import shlex

import pytest

from tests.processes.lowmem_runs import attempts, job_file, lowmem, running

pytestmark = [pytest.mark.process, pytest.mark.slow]

# The first draws numbers, the second adds them up in a float that rounds at every step.
JOBS = """
import json, random, time
from pathlib import Path
import lowmem

@lowmem.job(unit="numbers", outputs=["drawn.json"])
def draw(ctx, numbers: int = 16, pause: float = 0.0):
    "Draw numbers."
    at = ctx.restore(rng=random.Random(ctx.seed), drawn=[])
    while len(at.drawn) < numbers:
        time.sleep(pause)
        at.drawn.append(at.rng.gauss(0.0, 1.0))
        yield ctx.commit(items=1, **vars(at))
    (ctx.staging / "drawn.json").write_text(json.dumps(at.drawn))

@lowmem.job(unit="numbers", needs=[draw], outputs=["total.txt"])
def add_up(ctx, power: int = 3):
    "Add them up."
    drawn = json.loads((ctx.workspace.root / "drawn.json").read_text())
    at = ctx.restore(total=0.0, done=0, largest=float("-inf"))
    for number in drawn[at.done:]:
        while at.done == 6 and HALT.exists():
            time.sleep(0.01)
        at.total += number ** power
        at.done, at.largest = at.done + 1, max(at.largest, number)
        yield ctx.commit(items=1, **vars(at))
    (ctx.staging / "total.txt").write_text(f"{at.total!r} {at.largest!r}")
    return lowmem.Result(summary={"done": at.done})

HALT = Path(__file__).with_suffix(".halt")
"""


def by_hand():
    """Return what the second job makes, without lowmem."""
    rng, total = random.Random(1), 0.0  # noqa: S311
    drawn = [rng.gauss(0.0, 1.0) for _ in range(16)]
    for number in drawn:
        total += number**3
    return f"{total!r} {max(drawn)!r}"


def test_a_killed_job_of_several_goes_on_by_the_command_that_status_names(tmp_path):
    file = job_file(tmp_path, JOBS, "jobs.py")
    # It waits in its midst, to be killed there however slow the machine is.
    file.with_suffix(".halt").touch()
    planned = lowmem("plan", "jobs.py:add_up", "--workspace", "work", cwd=tmp_path)
    assert "drawn.json first: lowmem run jobs.py:draw" in planned.out

    space = tmp_path / "work"
    with running("jobs.py:add_up", space, cycle_steps=1) as live:
        # All of the first, its last commit, and some of the second.
        live.wait_for_commits(16 + 1 + 5)
        live.worker.kill()
        live.process.kill()
    assert not (space / "total.txt").exists()
    assert (space / "drawn.json").exists()

    status = json.loads(lowmem("status", "work", "--json", cwd=tmp_path).out)
    states = {name: job["state"] for name, job in status["jobs"].items()}
    assert states == {"draw": "done", "add-up": "stopped"}
    typed = shlex.split(status["jobs"]["add-up"]["next_command"])
    assert typed[:3] == ["lowmem", "run", "jobs.py:add_up"]
    file.with_suffix(".halt").unlink()
    ended = lowmem(*typed[1:], cwd=tmp_path)
    assert ended.status == 0, ended
    assert (space / "total.txt").read_text() == by_hand()
    assert [one.job for one in attempts(space)] == ["draw", "add-up", "add-up"]

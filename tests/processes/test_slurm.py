"""lowmem within a real SLURM: time limits, warnings, cancelled jobs, arrays, requeues."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from lowmem.base.workspace import Workspace
from lowmem.history.recorded import read_records
from lowmem.protocol.records import CycleEnded, Incident, RunBegun
from lowmem.shards.places import parts_in
from tests.processes.lowmem_runs import (
    COUNTING,
    assert_counted,
    committed_cycles,
    incidents,
    job_file,
    records,
    run,
    until,
)
from tests.processes.slurm_cluster import Cluster, cluster, what_is_missing

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    # Nodes, ports and time limits of whole minutes are shared with nothing else.
    pytest.mark.alone,
    pytest.mark.skipif(bool(what_is_missing()), reason=what_is_missing() or "-"),
]

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "places.md"
# seconds; a time limit has a resolution of a minute, a requeued job waits for one more.
PATIENCE_S = 400.0


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def job(tmp_path):
    return job_file(tmp_path, COUNTING)


def command(*words: object) -> str:
    return shlex.join([sys.executable, "-m", "lowmem", "run", *map(str, words)])


def batch(line: str, *options: str) -> str:
    head = [f"#SBATCH {option}" for option in options]
    return "\n".join(["#!/bin/bash", *head, line, ""])


def runs_of(space):
    return [r for r in records(space) if isinstance(r, RunBegun)]


def assert_nothing_was_cut(space) -> None:
    cycles = [r for r in records(space) if isinstance(r, CycleEnded)]
    assert {c.outcome for c in cycles} == {"committed"}


def test_the_script_of_the_docs_goes_through_its_time_limit_to_the_same_result(
    tmp_path, slurm: Cluster, job
):
    space = tmp_path / "w"
    (script,) = re.findall(
        r"```bash\n(#!/bin/bash\n.*?)```", PAGE.read_text(), re.DOTALL
    )
    ours = command(job, "--workspace", space, "--rows", 320, "--pause", 0.25)
    script, n_lines = re.subn(
        r"lowmem run all .*?--ram-budget 7G", lambda _: ours, script, flags=re.DOTALL
    )
    # A warning two minutes before the end of one minute is another test.
    script, n_warnings = re.subn(r"#SBATCH --signal=.*\n", "", script)
    assert (n_lines, n_warnings) == (1, 1)
    # 80 s of work in jobs of one minute; what is not of this test stays as it is.
    words = ["--time=1", "--mem=0", f"--output={tmp_path}/out"]
    number = slurm.submit(script, *words)
    ended = slurm.wait_for_end(number, patience_s=PATIENCE_S)
    said = (tmp_path / "out").read_text()
    assert ended["JobState"] == "COMPLETED", said
    assert int(ended["Restarts"]) >= 1
    assert len(runs_of(space)) >= 2
    assert all(30 < began.time_budget_s <= 54 for began in runs_of(space))
    assert "SLURM job" in said
    # In time, by itself: no signal was needed.
    assert {event.verdict for event in incidents(space)} == {"time"}
    assert_nothing_was_cut(space)
    assert_counted(space, 320)


@pytest.mark.parametrize(
    ("start", "to_whom"), [("exec", "B:"), ("srun", "")], ids=["batch", "step"]
)
def test_the_warning_before_a_time_limit_commits_and_the_job_ends_with_75(
    tmp_path, slurm: Cluster, job, start, to_whom
):
    """The batch step's first process is told, or every process of a step."""
    space = tmp_path / "w"
    words = ["--workspace", space, "--rows", 4_000, "--cycle-steps", 10_000]
    line = f"{start} {command(job, *words, '--pause', 0.05)}"
    # The warning comes up to a minute early: within 30 to 90 s of the start.
    options = ["--time=2", f"--signal={to_whom}USR1@30", f"--output={tmp_path}/out"]
    number = slurm.submit(batch(line, *options))
    ended = slurm.wait_for_end(number, patience_s=PATIENCE_S)
    assert ended["ExitCode"] == "75:0", (tmp_path / "out").read_text()
    (event,) = incidents(space)
    assert (event.verdict, event.signal) == ("signal", "SIGUSR1")
    assert_nothing_was_cut(space)
    assert run(job, space, "--rows", 4_000, cycle_steps=None).status == 0
    assert_counted(space, 4_000)


def test_a_cancelled_job_whose_every_process_is_signalled_commits(
    tmp_path, slurm: Cluster, job
):
    space = tmp_path / "w"
    words = ["--workspace", space, "--rows", 2_000, "--cycle-steps", 10_000]
    line = "exec " + command(job, *words, "--pause", 0.05)
    number = slurm.submit(batch(line, "--time=10", f"--output={tmp_path}/out"))
    rows = space / ".lowmem" / "jobs" / "count" / "staging" / "rows.txt"
    until(lambda: rows.exists() and len(rows.read_text().splitlines()) > 20)
    before = len(rows.read_text().splitlines())
    slurm.ask("scancel", number)
    slurm.wait_for_end(number, patience_s=PATIENCE_S)
    until(lambda: incidents(space))
    (event,) = incidents(space)
    assert (event.verdict, event.signal) == ("signal", "SIGTERM")
    assert_nothing_was_cut(space)
    assert sum(c.cycle.items for c in committed_cycles(records(space))) >= before


def test_each_task_of_an_array_knows_what_is_left_of_it_alone(
    tmp_path, slurm: Cluster, job
):
    at = "$SLURM_ARRAY_TASK_ID"
    line = command(job, "--rows", 100, "--pause", 0.1, "--time-budget", "auto")
    # The task that has the number of all is the last: its limit is the longest.
    line = f"scontrol update JobId=$SLURM_ARRAY_JOB_ID'_'{at} TimeLimit=$((10 + 10 * {at}))\n{line}"
    line += f' --workspace "{tmp_path}/w{at}"'
    options = ["--time=60", "--array=0-1", f"--output={tmp_path}/out%a"]
    array = slurm.submit(batch(line, *options))
    for task in (0, 1):
        ended = slurm.wait_for_end(f"{array}_{task}", patience_s=PATIENCE_S)
        assert ended["JobState"] == "COMPLETED", (tmp_path / f"out{task}").read_text()
        (began,) = runs_of(tmp_path / f"w{task}")
        limit_s = 60 * (10 + 10 * task)
        assert limit_s - 60 - 45 < began.time_budget_s <= limit_s - 60
        assert_counted(tmp_path / f"w{task}", 100)


def test_the_array_of_the_docs_makes_the_shards_and_a_dependent_job_merges_them(
    tmp_path, slurm: Cluster
):
    (tmp_path / "own.py").write_text(
        "import numpy as np\n\ndef spread(rows):\n    return np.repeat(rows, 2**18, 1)\n"
    )
    values = np.arange(24.0)[:, None]
    np.save(tmp_path / "rows.npy", values)
    page = (DOCS / "scale.md").read_text()
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", page, re.DOTALL)
    program = shlex.join([sys.executable, "-m", "lowmem"])
    ours = f"{program} map own.py:spread rows.npy wide.zarr --set rows=2 --workspace w"
    script, n_lines = re.subn(
        r"lowmem run encode --workspace .*?\n",
        lambda _: f"{ours} \\\n",
        script,
    )
    script, n_budgets = re.subn("--ram-budget 3600M", "--ram-budget 1G", script)
    assert (n_lines, n_budgets) == (1, 1)
    # It begins at 1, as many arrays do; what is not of this test stays as it is.
    words = ["--array=1-3", "--time=10", "--mem=0", f"--chdir={tmp_path}"]
    array = slurm.submit(script, *words, f"--output={tmp_path}/out%a")
    merge = f"exec {program} merge map-wide --workspace w"
    options = [f"--chdir={tmp_path}", f"--output={tmp_path}/merged", "--time=10"]
    number = slurm.submit(batch(merge), *options, f"--dependency=afterok:{array}")
    ended = slurm.wait_for_end(number, patience_s=PATIENCE_S)
    said = [path.read_text() for path in sorted(tmp_path.glob("out*"))]
    assert ended["JobState"] == "COMPLETED", said
    for n, text in enumerate(said):
        assert f"shard {n}/3 of map-wide is done" in text
    result = zarr.open_array(tmp_path / "w" / "wide.zarr" / "wide", mode="r")
    np.testing.assert_array_equal(result[:, :: 2**17], np.repeat(values, 2, axis=1))


def test_an_engine_submits_the_array_waits_for_a_task_that_comes_again_and_merges(
    tmp_path, slurm: Cluster
):
    (tmp_path / "own.py").write_text(
        "import time\nimport numpy as np\n\ndef spread(rows):\n    time.sleep(3)\n"
        "    return np.repeat(rows, 2**18, 1)\n"
    )
    values = np.arange(32.0)[:, None]
    np.save(tmp_path / "rows.npy", values)
    space = Workspace(tmp_path / "w")
    line = [sys.executable, "-m", "lowmem", "map", "own.py:spread", "rows.npy"]
    line += ["wide.zarr", "--set", "rows=2", "--workspace", "w", "--cycle-steps", "1"]
    line += ["--engine", "slurm", "--shards", "2", "--shard-ram", "1G"]
    # A warning two minutes before the end comes to nobody who has ten.
    line += ["--engine-option", "time=10", "--engine-option", "mem=0"]
    with subprocess.Popen(
        line,
        cwd=tmp_path,
        env=slurm.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as launch:
        launches = space.shards / "map-wide" / "launches"
        until(lambda: list(launches.glob("*/array.*")), patience_s=PATIENCE_S)
        (named,) = launches.glob("*/array.*")
        until(lambda: list(space.shards.rglob("*.done")), patience_s=PATIENCE_S)
        # As SLURM's own warning: a task commits, ends with 75, and is queued again.
        slurm.ask("scancel", "--signal=USR1", named.suffix.removeprefix("."))
        _, said = launch.communicate(timeout=PATIENCE_S)
    assert launch.returncode == 0, said
    result = zarr.open_array(space.root / "wide.zarr" / "wide", mode="r")
    np.testing.assert_array_equal(result[:, :: 2**17], np.repeat(values, 2, axis=1))
    assert "map-wide: shard 1/2 is done" in said
    assert {event.signal for event in incidents_of_shards(space)} == {"SIGUSR1"}


def incidents_of_shards(space: Workspace) -> list[Incident]:
    return [
        record
        for part in parts_in(space, "map-wide")
        for record in read_records(part.space.journal)
        if isinstance(record, Incident)
    ]

"""Whatever a job's own code does, the run ends with the right status and one paragraph."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from lowmem.base.workspace import Workspace
from lowmem.protocol.messages import Run, answer_from_line, line_from_message
from tests.processes.lowmem_runs import (
    COUNTING,
    assert_counted,
    attempts,
    committed_cycles,
    incidents,
    is_running,
    job_file,
    lowmem,
    records,
    run,
    stop_after_commits,
)

pytestmark = [pytest.mark.process, pytest.mark.slow]


def body(text):
    """Return a job file whose work is these lines."""
    lines = "\n".join("    " + line for line in text.strip("\n").splitlines())
    return (
        "import lowmem, os, sys, time\n\n@lowmem.job()\ndef task(ctx):\n"
        f"{lines}\n    yield lowmem.CommitPoint(items=1)\n"
    )


def test_an_exception_in_the_job_gives_its_traceback_and_a_paragraph(tmp_path):
    job = job_file(tmp_path, body("print('about to')\nraise KeyError('absent')"))
    ended = run(job, tmp_path / "w")
    assert ended.status == 70, ended
    assert "Traceback (most recent call last)" in ended.err
    assert 'job.py", line 6, in task' in ended.err
    assert "KeyError: 'absent'" in ended.paragraph
    assert "task: about to" in ended.err
    (incident,) = incidents(tmp_path / "w")
    assert (incident.verdict, incident.where) == ("error", "job.py:6 in task")


def test_sys_exit_in_the_job_fails_it_at_once(tmp_path):
    ended = run(job_file(tmp_path, body("sys.exit(0)")), tmp_path / "w")
    assert ended.status == 70, ended
    assert "SystemExit" in ended.paragraph
    assert len(incidents(tmp_path / "w")) == 1


def test_a_memory_error_goes_down_the_ladder_to_the_refusal(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem
        @lowmem.job(settings=({"block": 4}, {"block": 2}))
        def greedy(ctx):
            raise MemoryError("no room for the block")
            yield
        """,
    )
    ended = run(job, tmp_path / "w")
    assert ended.status == 73, ended
    assert "--ram-budget" in ended.paragraph
    assert "smallest setting" in ended.paragraph
    assert "job.py:5 in greedy" in ended.paragraph
    found = incidents(tmp_path / "w")
    assert [i.verdict for i in found] == ["ram_limit"] * 2
    assert found[0].action == "restarted with block 2"
    # What was too large stays so: the next run does not begin at the top again.
    run(job, tmp_path / "w")
    assert attempts(tmp_path / "w")[-1].settings == {"block": 2}


def test_results_of_a_failed_job_never_reach_the_workspace(tmp_path):
    text = (
        "(ctx.staging / 'out.txt').write_text('half')\nyield lowmem.CommitPoint()\n1/0"
    )
    ended = run(job_file(tmp_path, body(text)), tmp_path / "w", cycle_steps=1)
    assert ended.status == 70
    assert {p.name for p in (tmp_path / "w").iterdir()} == {".lowmem", "report.html"}


def test_a_job_that_publishes_what_it_never_wrote_is_told_so(tmp_path):
    source = body("") + ("    return lowmem.Result(publish=['absent.npy'])\n")
    ended = run(job_file(tmp_path, source), tmp_path / "w")
    assert ended.status == 70, ended
    assert "absent.npy" in ended.paragraph


JOB = "import lowmem\n@lowmem.job()\ndef some(ctx): yield\n"


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ("def broken(:\n", 70, "SyntaxError"),
        ("x = 1\n", 2, "defines 0 jobs"),
        ("import sys\nsys.exit(4)\n", 2, "`lowmem exec -- python"),
        (None, 65, "is not there"),
        (f"import no_such_package_at_all\n{JOB}", 70, "no_such_package_at_all"),
        (f"import sys\nsys.exit(4)\n{JOB}", 70, "SystemExit"),
    ],
    ids=["syntax error", "no job", "a script", "no file", "no package", "exits"],
)
def test_a_job_file_that_cannot_be_used_is_refused(tmp_path, source, status, words):
    job = tmp_path / "job.py"
    if source is not None:
        job.write_text(source)
    ended = run(job, tmp_path / "w")
    assert ended.status == status, ended
    assert words in ended.paragraph
    assert not (tmp_path / "w").exists()


def test_a_daemon_that_a_job_leaves_behind_ends_with_it(tmp_path):
    text = """
pid = os.fork()
if pid == 0:
    os.setsid()
    if os.fork() == 0:
        (ctx.workspace.root / "pid").write_text(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
os.waitpid(pid, 0)
while not (ctx.workspace.root / "pid").exists(): time.sleep(0.01)
"""
    ended = run(job_file(tmp_path, body(text)), tmp_path / "w")
    assert ended.status == 0, ended
    assert not is_running(int((tmp_path / "w" / "pid").read_text()))


@pytest.mark.parametrize(
    ("end_of_child", "said"),
    [
        ("pass", "returned from its work and was ended"),
        ("return lowmem.Result()", "returned from its work and was ended"),
        ("raise KeyError('in the child')", "KeyError: 'in the child'"),
    ],
)
def test_a_forked_child_that_comes_back_neither_commits_nor_fails_the_job(
    tmp_path, end_of_child, said
):
    text = f"""
for n in range(ctx.state.get("n", 0), 3):
    child = os.fork()
    if child == 0:
        {end_of_child}
    else:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 70
    yield lowmem.CommitPoint(items=1, state={{"n": n + 1}})
"""
    space = tmp_path / "w"
    ended = run(job_file(tmp_path, body(text)), space, "--cycle-steps", "1")
    assert ended.status == 0, ended
    written = records(space)
    assert [cycle.cycle.items for cycle in committed_cycles(written)][:3] == [1, 1, 1]
    assert len(attempts(space)) == 1
    log = Workspace.at(space).log("task").read_text()
    assert log.count(said) == 3, log


def test_a_child_of_a_child_keeps_the_files_that_it_opened(tmp_path):
    text = """
path = ctx.workspace.root / "written"
if os.fork() == 0:
    files = [os.open(path, os.O_WRONLY | os.O_CREAT) for _ in range(40)]
    child = os.fork()
    if child == 0:
        for file in files:
            os.pwrite(file, b"x", file)
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
if os.waitstatus_to_exitcode(os.wait()[1]):
    raise RuntimeError("a file was closed")
"""
    ended = run(job_file(tmp_path, body(text)), tmp_path / "w")
    assert ended.status == 0, ended


def test_a_worker_that_cannot_open_its_file_of_stacks_fails_as_the_disk_does(tmp_path):
    space = Workspace.at(tmp_path)
    space.stacks("task").mkdir(parents=True)
    request = Run(
        reference="train",
        job="task",
        workspace=str(tmp_path),
        options={},
        settings={},
        recipe={},
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
        vram_budget_bytes=None,
        cycle_steps=1,
    )
    answers, writing = os.pipe()
    ended = subprocess.run(
        [sys.executable, "-m", "lowmem.worker", str(writing), str(os.getpid())],
        check=False,
        input=line_from_message(request),
        pass_fds=[writing],
    )
    os.close(writing)
    with open(answers, "rb") as stream:  # noqa: PTH123 - a descriptor
        failure = answer_from_line(stream.read())
    assert ended.returncode == failure.exit_code == 74
    assert "stacks.txt" in failure.message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("ctx.progress(0.5, 1.0)", "done must be a whole number, got 0.5"),
        ("yield lowmem.CommitPoint(items=0.5)", "items must be a whole number"),
        ("yield lowmem.CommitPoint(state={'x': float('nan')})", "state['x'] is nan"),
    ],
)
def test_a_wrong_value_of_a_job_ends_it_as_its_own_error(tmp_path, source, words):
    ended = run(job_file(tmp_path, body(source)), tmp_path / "w", cycle_steps=1)
    assert ended.status == 70, ended
    assert words in ended.paragraph


def test_a_job_mended_after_it_failed_goes_on_where_it_was(tmp_path):
    space, line = tmp_path / "w", "        total += done * done\n"
    broken = COUNTING.replace(line, f"        if done == 6: raise KeyError\n{line}")
    assert broken != COUNTING
    assert run(job_file(tmp_path, broken), space, cycle_steps=1).status == 70
    assert run(job_file(tmp_path, COUNTING), space, cycle_steps=1).status == 0
    assert [a.next_cycle for a in attempts(space)] == [0, 6]
    assert_counted(space, 12)


def test_a_change_of_the_recipe_is_refused_and_progress_stays(tmp_path):
    space, job = tmp_path / "w", job_file(tmp_path, COUNTING)
    stop_after_commits(job, space, 1, "--rows", 40, "--pause", 0.1)
    refused = run(job, space, "--rows", 50)
    assert refused.status == 2, refused
    assert "rows was 40, now 50" in refused.paragraph
    # What does not change the result may change.
    assert run(job, space, "--rows", 40, "--pause", 0).status == 0
    assert_counted(space, 40)
    assert attempts(space)[-1].next_cycle > 0


def test_a_finished_job_runs_again_only_if_told_to_or_its_results_are_gone(tmp_path):
    space, job = tmp_path / "w", job_file(tmp_path, COUNTING)
    assert run(job, space).status == 0
    again = run(job, space)
    assert again.status == 0
    assert "is done already" in again.err
    assert len(attempts(space)) == 1
    (space / "rows.txt").unlink()
    assert run(job, space).status == 0
    assert len(attempts(space)) == 2
    assert (space / "rows.txt").is_file()
    assert run(job, space, "--restart", "--rows", 5).status == 0
    assert (space / "rows.txt").read_text().split() == list("01234")


def test_lost_checkpoints_make_the_job_begin_anew_and_the_journal_says_so(tmp_path):
    space, job = tmp_path / "w", job_file(tmp_path, COUNTING)
    stop_after_commits(job, space, 1, "--rows", 40, "--pause", 0.1)
    shutil.rmtree(Workspace.at(space).job("count"))
    assert run(job, space, "--rows", 40).status == 0
    assert sum(r.__class__.__name__ == "JobBegun" for r in records(space)) == 2


def test_a_fresh_worker_every_k_cycles_and_pinned_settings_change_no_result(tmp_path):
    space, job = tmp_path / "w", job_file(tmp_path, COUNTING)
    ended = run(job, space, "--recycle-every", 2, "--set", "block=3", cycle_steps=2)
    assert ended.status == 0, ended
    assert_counted(space)
    assert len(attempts(space)) == 4
    assert all(a.settings == {"block": 3} for a in attempts(space))


def test_the_steps_of_a_cycle_are_the_users(tmp_path):
    space, job = tmp_path / "w", job_file(tmp_path, COUNTING)
    (tmp_path / "w").mkdir()
    (space / "lowmem.toml").write_text("[run]\ncycle-steps = 5\n[count]\nrows = 11\n")
    assert run(job, space, cycle_steps=None).status == 0
    items = [c.cycle.items for c in committed_cycles(records(space))]
    assert items == [5, 5, 1]


def test_damaged_checkpoints_fall_back_by_one_and_end_in_an_error_if_none_is_left(
    tmp_path,
):
    space, job = tmp_path / "w", job_file(tmp_path, COUNTING)
    slowly = ("--rows", 40, "--pause", 0.03)
    stop_after_commits(job, space, 2, *slowly)
    folder = Workspace.at(space).checkpoints("count")
    newest = max(folder.glob("gen-*"))
    (newest / "manifest.json").write_bytes(b"damaged")
    stopped = stop_after_commits(job, space, 4, *slowly)
    assert "is damaged; going on from" in stopped.err
    for manifest in folder.glob("gen-*/manifest.json"):
        manifest.write_bytes(manifest.read_bytes()[:-9])
    lost = run(job, space, *slowly)
    assert lost.status == 65, lost
    assert "holds no checkpoint that is whole" in lost.paragraph
    assert run(job, space, "--rows", 40, "--restart").status == 0
    assert_counted_again(space)


def assert_counted_again(space):
    assert (space / "rows.txt").read_text().split() == [str(n) for n in range(40)]


def can_mount():
    probe = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return (
        shutil.which("unshare")
        and not subprocess.run(probe, check=False, capture_output=True).returncode
    )


@pytest.mark.skipif(not can_mount(), reason="needs user namespaces to mount a tmpfs")
def test_a_full_disk_stops_the_run_and_space_lets_it_go_on(tmp_path):
    job = job_file(tmp_path, COUNTING.replace('f"{done}\\n"', 'f"{done}\\n" * 20_000'))
    space, kept = tmp_path / "w", tmp_path / "kept"
    space.mkdir()
    script = f"""
        mount -t tmpfs -o size=1M tmpfs {space}
        run="{sys.executable} -m lowmem run {job} --workspace {space} --cycle-steps 1"
        $run --rows 30; echo full $?
        mount -o remount,size=64M {space}
        $run --rows 30; echo roomy $?
        cp -r {space} {kept}
    """
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],  # noqa: S607
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ,
    )
    assert done.stdout.split() == ["full", "74", "roomy", "0"], done
    assert "Traceback" not in done.stderr, done.stderr
    assert "No space left on device" in " ".join(done.stderr.split())
    rows = (kept / "rows.txt").read_text().split()
    assert rows == [str(row) for row in range(30) for _ in range(20_000)]
    assert sum(c.cycle.items for c in committed_cycles(records(kept))) == 30


def test_help_of_a_job_file_names_its_options(tmp_path):
    shown = lowmem("run", job_file(tmp_path, COUNTING), "--help")
    assert shown.status == 0
    assert "--rows" in shown.out


def test_an_input_that_changed_is_told_and_so_is_a_file_that_was_mended_since(tmp_path):
    table = tmp_path / "table.txt"
    table.write_text("3.0 3.0 3.0")
    source = """
        import lowmem
        @lowmem.job(options=[lowmem.Option(name="table", kind="path")])
        def mean(ctx):
            for cell in open(ctx.options["table"]).read().split():
                yield lowmem.CommitPoint(items=1)
        """
    job = job_file(tmp_path, source)
    words = ("--table", str(table))
    assert run(job, tmp_path / "w", *words).status == 0
    table.write_text("0.0 0.0 0.0")
    changed = run(job, tmp_path / "w", *words)
    assert changed.status == 2, changed
    assert "begun with another recipe (table (content) was" in changed.paragraph
    table.write_text("3.0 3.0 3.0")
    assert "is done already; --restart" in run(job, tmp_path / "w", *words).err
    job_file(tmp_path, source + "    # mended")
    again = run(job, tmp_path / "w", *words)
    assert again.status == 0, again
    assert "is done already, by another state of its file; --restart" in again.err


SUMMING = """
import lowmem
import {imported}

@lowmem.job(options=[lowmem.Option(name="table", kind="path")])
def adds(ctx):
    'Add the cells of a table up.'
    cells = open(ctx.options["table"]).read().split()
    total, done = ctx.state.get("total", 0), ctx.state.get("done", 0)
    while done < len(cells):
        total, done = total + int(cells[done]), done + 1
        yield lowmem.CommitPoint(items=1, state={{"total": total, "done": done}})
        {then}
    (ctx.staging / "total.txt").write_text(str(total))
    return lowmem.Result(publish=["total.txt"])
"""


def test_code_beside_a_job_that_changed_since_is_told(tmp_path):
    table, helper = tmp_path / "table.txt", tmp_path / "beside.py"
    table.write_text("1 2 3")
    helper.write_text("FACTOR = 1")
    job = job_file(tmp_path, SUMMING.format(imported="beside", then="pass"))
    words = ("--table", str(table))
    assert run(job, tmp_path / "w", *words).status == 0
    again = run(job, tmp_path / "w", *words)
    assert "adds is done already; --restart" in again.err
    helper.write_text("FACTOR = 2")
    changed = run(job, tmp_path / "w", *words)
    assert changed.status == 0, changed
    assert "is done already, by another state of its file; --restart" in changed.err


CHANGES = """if done == 3 and not (ctx.workspace.root / "been").exists():
            (ctx.workspace.root / "been").touch()
            open(ctx.options["table"], "w").write("3 3 3 3 3 3".replace("3", "0"))
            {then}"""


@pytest.mark.parametrize("then", ["pass", "os.kill(os.getpid(), 9)"])
def test_an_input_that_changes_under_a_running_job_or_between_its_workers_is_refused(
    tmp_path, then
):
    table, space = tmp_path / "table.txt", tmp_path / "w"
    table.write_text("3 3 3 3 3 3")
    source = SUMMING.format(imported="os", then=CHANGES.format(then=then))
    job = job_file(tmp_path, source)
    words = ("--table", str(table))
    ended = run(job, space, *words, cycle_steps=2)
    assert ended.status == 2, ended
    assert "table (content) was" in ended.paragraph
    assert "It changed while the job ran" in ended.paragraph
    assert not (space / "total.txt").exists()
    # What was committed is of the former data: it goes on with them, not with others.
    assert run(job, space, *words, cycle_steps=2).status == 2
    table.write_text("3 3 3 3 3 3")
    assert run(job, space, *words, cycle_steps=2).status == 0
    assert (space / "total.txt").read_text() == "18"

"""`lowmem.testing` passes a sound job, and names what is wrong with one that is not."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from lowmem.testing import Case, CheckError, check
from lowmem.testing.checks import CHECKS
from tests.processes.lowmem_runs import COUNTING, SQUARES

pytestmark = [pytest.mark.process, pytest.mark.slow]

# Counts eight rows and publishes a text; what is planted goes into its gaps.
COUNT = """
import lowmem
{imports}

@lowmem.job(unit="rows", settings=({{"block": 2}}, {{"block": 1}}))
def count(ctx):
    'Count rows.'
    total = ctx.state.get("total", 0)
    {before}
    for done in range(ctx.state.get("done", 0), 8):
        total += done
        {step}
        yield lowmem.CommitPoint(
            items=1, state={{"done": done + 1, "total": total}}{point}
        )
    (ctx.staging / "count.txt").write_text(f"total\\n{{{result}}}\\n")
    return lowmem.Result(publish=["count.txt"], summary={{"total": total}})
"""


# Its blocks are independent, unless something is planted that remembers.
DIVIDED = """
import lowmem, numpy as np
from contextlib import contextmanager
from lowmem.stores import write_blocks

@contextmanager
def blocks(ctx):
    made = []

    def make(start, stop):
        made.append(start)
        return np.arange(start, stop)[:, None] + {planted}

    yield lowmem.RowBlocks(
        store="rows.zarr", array="rows", n_rows=30, block_rows=4, row_shape=(1,),
        dtype="int64", make=make,
    )

def work(ctx):
    with blocks(ctx) as rows:
        return (yield from write_blocks(ctx, rows))

JOB = lowmem.Job(name="rows", work=work, blocks=blocks, unit="rows")
"""


def counting(folder, **planted):
    """Write a job that counts, with something planted in it."""
    gaps = {"imports": "", "before": "", "step": "", "point": "", "result": "total"}
    path = folder / "count.py"
    path.write_text(COUNT.format(**gaps | planted))
    return path


def refusal(folder, only, job=None, **planted):
    """Return what a check says of a job with something planted in it."""
    case = job or Case(counting(folder, **planted), folder)
    with pytest.raises(CheckError) as caught:
        check(case, only=[only])
    assert caught.value.check == only
    return str(caught.value)


@pytest.mark.parametrize("planted", ["0", "len(made)"])
def test_blocks_that_remember_others_are_told_from_those_that_do_not(tmp_path, planted):
    path = tmp_path / "rows.py"
    path.write_text(DIVIDED.format(planted=planted))
    case = Case(path, tmp_path)
    if planted == "0":
        told = check(case, only=["shards"])
        assert told == {"shards": "the same by two shards, the second first"}
    else:
        said = refusal(tmp_path, "shards", case)
        assert "made by two shards, the second first, and merged, gives another" in said


def test_a_sound_job_passes_every_check(tmp_path):
    told = check(Case(counting(tmp_path), tmp_path, ram="200M"))
    assert list(told) == list(CHECKS)
    assert told["kills"] == "the same after 9 kills, one after each commit"
    assert told["settings"] == "the same with each of 2 settings"
    assert told["cycles"] == "the same in one cycle as in 8"


def test_a_job_that_appends_and_a_store_are_sound_after_kills_within_their_flush(
    tmp_path,
):
    (tmp_path / "rows.py").write_text(COUNTING)
    check(Case(tmp_path / "rows.py", tmp_path, options={"rows": 7}), only=["kills"])
    # More chunks than in its own tests.
    (tmp_path / "squares.py").write_text(SQUARES.replace("18", "22"))
    check(Case(tmp_path / "squares.py", tmp_path), only=["kills"])


def test_state_in_a_module_is_found_by_kills(tmp_path):
    said = refusal(
        tmp_path,
        "kills",
        imports="SEEN = []",
        step="SEEN.append(done)",
        result="len(SEEN)",
    )
    assert "killed after each of its 8 commits" in said
    assert "count.txt, line 2, is '0', expected '8'" in said


def test_what_is_written_beyond_a_commit_and_stays_is_found_by_kills(tmp_path):
    said = refusal(
        tmp_path,
        "kills",
        before="log = ctx.staging / 'log.txt'",
        step="log.open('a').write('x')",
        result="log.stat().st_size",
    )
    # Of nine kills six come after a step that is done again.
    assert "count.txt, line 2, is '" in said
    assert "', expected '8'" in said


def test_items_that_are_counted_from_the_beginning_are_found_by_kills(tmp_path):
    job = counting(tmp_path)
    job.write_text(job.read_text().replace("items=1", "items=1 + bool(ctx.state)"))
    said = refusal(tmp_path, "kills", Case(job, tmp_path))
    assert "counts 15 rows, expected 8" in said


def test_what_is_done_at_a_commit_is_found_by_the_length_of_a_cycle(tmp_path):
    said = refusal(
        tmp_path,
        "cycles",
        imports="N = []",
        point=", flush=lambda: N.append(1)",
        result="len(N)",
    )
    assert "run in one cycle gives another result" in said
    assert "count.txt, line 2, is '0', expected '8'" in said


def test_a_setting_in_the_result_is_found_with_its_rung(tmp_path):
    said = refusal(tmp_path, "settings", result="ctx.settings['block']")
    assert "run with block=1 gives another result" in said
    assert "line 2, is '1', expected '2'" in said


def test_a_leak_is_found_with_its_size(tmp_path):
    said = refusal(
        tmp_path,
        "memory",
        imports="HELD = []",
        step="HELD.append(b'x' * 2**20)",
    )
    assert "holds more after each cycle" in said
    assert "in 8 cycles" in said
    planted = {"imports": "HELD = []", "step": "HELD.append(b'x' * 2**20)"}
    meant = Case(counting(tmp_path, **planted), tmp_path, growth="20M")
    check(meant, only=["memory"])


def test_a_worker_that_dies_once_is_told_and_is_no_leak(tmp_path):
    imports = "import os, signal"
    kill = """
        mark = ctx.workspace.root / "mark"
        if {when} and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSEGV)"""
    for when in ("done == 0", "done == 4"):
        said = refusal(tmp_path, "memory", imports=imports, step=kill.format(when=when))
        assert "lost a worker (crash, SIGSEGV) and went on with another" in said
        assert "holds more" not in said


def test_a_setting_that_passes_the_budget_is_found_with_its_line(tmp_path):
    said = refusal(
        tmp_path,
        "memory",
        Case(
            counting(
                tmp_path, step='kept = b"x" * (ctx.settings["block"] - 1) * 4 * 10**8'
            ),
            tmp_path,
            ram="200M",
        ),
    )
    assert "passed its budget" in said
    assert "count.py:" in said


def test_whatever_is_written_outside_staging_is_named(tmp_path):
    said = refusal(
        tmp_path,
        "writes",
        imports="import subprocess",
        before="side = ctx.workspace.root / 'side.txt'; open(side, 'w').close()",
        step="""open("here.txt", "w").close(); open(__file__ + ".log", "w").close()
        subprocess.run(["touch", ctx.workspace.root / "touched"], check=True)""",
    )
    assert "wrote outside its staging folder" in said
    names = ("lowmem-work/side.txt", "here/here.txt", "count.py.log", "work/touched")
    assert all(name in said for name in names)


def test_temporary_files_and_what_may_be_written_are_not_named(tmp_path):
    job = counting(
        tmp_path,
        imports="import tempfile",
        step='tempfile.TemporaryFile().close(); open(__file__ + ".log", "w").close()',
    )
    case = Case(job, tmp_path, may_write=[tmp_path / "count.py.log"])
    check(case, only=["writes"])


@pytest.mark.parametrize(
    ("imports", "result"),
    [
        ("import random", "random.random()"),
        ("import datetime", "datetime.date.today()"),
        ("", "ctx.staging"),
    ],
    ids=["chance", "day", "folder"],
)
def test_chance_time_and_places_in_a_result_are_found(tmp_path, imports, result):
    said = refusal(tmp_path, "repeats", imports=imports, result=result)
    assert "run again, on another day and in another folder" in said
    assert "count.txt, line 2, is " in said


def test_clocks_are_set_forward_and_compiled_libraries_still_load():
    program = """
import datetime, sys, time
was = (
    time.time(), time.time_ns() // 10**9, time.strftime("%Y"), time.ctime()[-4:],
    time.asctime()[-4:], time.gmtime().tm_year, datetime.datetime.now(),
)
from lowmem.testing import shifted_clock
shifted_clock.go()
shift, about = shifted_clock.SHIFT_S, 600
assert about > time.time() - was[0] - shift >= -1
assert about > time.time_ns() // 10**9 - was[1] - shift >= -1
years = (time.strftime("%Y"), time.ctime()[-4:], time.asctime()[-4:])
assert all(int(year) > int(old) for year, old in zip(years, was[2:5]))
assert time.gmtime().tm_year > was[5] and time.gmtime(0).tm_year == 1970
assert time.strftime("%Y", time.gmtime(0)) == "1970"
away = abs((datetime.datetime.now() - was[6]).total_seconds())
assert away > 86_399 - about, away
datetime.datetime.now().astimezone()
import sklearn.feature_extraction.text
"""
    for zone in ("UTC0", "EAST-9", "WEST8"):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env={**os.environ, "TZ": zone},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_time_in_a_summary_is_found(tmp_path):
    path = counting(tmp_path, imports="import time")
    path.write_text(
        path.read_text().replace(
            'summary={"total": total}', 'summary={"t": time.time()}'
        )
    )
    said = refusal(tmp_path, "repeats", Case(path, tmp_path))
    assert "Result(summary=)['t'] is " in said


def test_a_random_job_must_follow_its_seed(tmp_path):
    imports = "import random"
    fixed = counting(tmp_path, imports=imports, result="random.Random(3).random()")
    said = refusal(tmp_path, "seed", Case(fixed, tmp_path, is_random=True))
    assert "run with --seed 2 gives the same count.txt" in said
    own = counting(tmp_path, imports=imports, result="random.Random(ctx.seed).random()")
    check(Case(own, tmp_path, is_random=True), only=["seed"])


def test_a_job_that_fails_or_is_too_short_says_so(tmp_path):
    failing = counting(tmp_path, step="1 / 0")
    with pytest.raises(
        CheckError, match=r"run unbroken ended with exit code 70(?s:.*)1 / 0"
    ):
        check(Case(failing, tmp_path))
    short = tmp_path / "short.py"
    short.write_text(counting(tmp_path).read_text().replace(", 8):", ", 3):"))
    with pytest.raises(CheckError, match=r"offers 3 commit points .* at least 6"):
        check(Case(short, tmp_path))


def test_a_job_that_fails_only_after_a_cut_is_not_taken_for_killed(tmp_path):
    said = refusal(tmp_path, "kills", before="assert not ctx.state")
    assert "ended with exit code 70" in said
    assert "AssertionError" in said


MAP = """
import lowmem

SEEN = []

@lowmem.map(source="rows.npy", out="made.zarr")
def made(rows):
    'Map rows.'
    {body}
"""


def mapping(folder, body, **given):
    path = folder / "made.py"
    path.write_text(MAP.format(body=textwrap.indent(body, "    ").strip()))

    def prepare(space: Path) -> None:
        np.save(space / "rows.npy", np.arange(56.0).reshape(28, 2))

    return Case(path, folder, options={"rows": 4}, prepare=prepare, **given)


def test_a_sound_map_passes_and_is_cut_after_each_call(tmp_path):
    told = check(mapping(tmp_path, "return rows.sum(axis=1)"))
    assert told["kills"] == "the same after 8 kills, one after each commit"
    assert told["blocks"].startswith("the same, but for rounding")


def test_a_map_whose_later_rows_need_their_neighbours_is_found(tmp_path):
    body = "return rows - (rows.mean(axis=0) if rows[0, 0] > 30 else 0)"
    said = refusal(tmp_path, "blocks", mapping(tmp_path, body))
    assert "run with one row a call gives another result" in said
    assert "made.zarr/made[16, 0] is 0.0, expected -3.0" in said


def test_a_map_that_remembers_is_found(tmp_path):
    body = "SEEN.append(1)\nreturn rows + max(0, len(SEEN) - 4)"
    said = refusal(tmp_path, "kills", mapping(tmp_path, body))
    assert "killed after each of its 7 commits" in said

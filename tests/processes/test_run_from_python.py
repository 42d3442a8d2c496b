"""`lowmem.run` and `lowmem.open`: jobs from a program, results as values of Python."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

import lowmem
from lowmem.base.errors import DataError, UsageError
from lowmem.base.workspace import Workspace
from tests.processes.lowmem_runs import (
    COUNTING,
    PATIENCE_S,
    SQUARES,
    committed_cycles,
    job_file,
    records,
    until,
)

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.mark.keras
def test_the_blocks_of_the_page_and_of_the_readme_run_as_they_are_shown(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    names = {}
    for file in ("docs/python.md", "README.md"):
        text = (ROOT / file).read_text(encoding="utf-8")
        for block in re.findall(
            r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL
        ):
            if re.search(r"lowmem\.(run|open|plan)\(", block):
                exec(block, names)  # noqa: S102 - what the reader would run
    assert names["space"].status.jobs["train"].state == "done"
    (planned,) = names["plan"].plans
    assert planned.fits
    assert planned.ladder[0].settings == planned.settings == {"micro_batch": 64}
    assert 10**8 < planned.ram_peak_bytes < 2 * 10**9
    assert np.asarray(names["images"]).shape == (200, 32, 32, 3)


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    folder = tmp_path_factory.mktemp("squares")
    return lowmem.run(
        job_file(folder, SQUARES), workspace=folder / "work", ram="1G", quiet=True
    )


def test_a_job_is_run_and_its_results_are_values(squares):
    assert squares.status.jobs["squares"].state == "done"
    assert squares.report.jobs["squares"].items == 18
    assert set(squares.results) == {"squares.zarr", "squares.txt"}
    assert squares.results["squares.txt"].read_text() == "18 squares\n"
    array = squares.arrays["squares.zarr/squares"]
    n = np.arange(18)
    right = np.stack([n, n**2, n**3], axis=1)
    assert (array.shape, array.dtype) == ((18, 3), np.int64)
    assert np.array_equal(np.asarray(array), right)
    assert np.array_equal(array[4:6], right[4:6])
    assert array[-1, 2] == 17**3
    assert np.array_equal(np.stack(list(array)), right)


def test_a_table_is_shown_and_says_what_continues(squares):
    assert "squares  done" in repr(squares)
    assert "<td>squares</td><td>done</td>" in squares._repr_html_()
    assert re.search(r"squares\.zarr/squares: int64 of shape", repr(squares.arrays))
    page = squares.page._repr_html_()
    assert 'sandbox=""' in page
    assert "<script" not in page


@pytest.mark.parametrize("key", [18, (0, 3), [1, 2], slice(None, None, -1)])
def test_a_place_that_is_not_there_is_refused(squares, key):
    with pytest.raises(IndexError):
        squares.arrays["squares.zarr/squares"][key]


def test_an_array_that_is_not_there_is_told_with_those_that_are(squares):
    with pytest.raises(UsageError, match=r"did you mean squares\.zarr/squares\?"):
        squares.arrays["squares.zarr/square"]


def test_a_damaged_chunk_is_bad_data(tmp_path):
    job = job_file(tmp_path, SQUARES)
    space = lowmem.run(job, workspace=tmp_path / "work", ram="1G", quiet=True)
    store = space.root / "squares.zarr" / "squares"
    files = (path for path in sorted(store.rglob("*")) if path.is_file())
    chunk = next(path for path in files if path.name != "zarr.json")
    data = bytearray(chunk.read_bytes())
    data[3] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(DataError, match="lowmem verify"):
        np.asarray(space.arrays["squares.zarr/squares"])


def test_options_settings_and_names_that_are_taken_reach_the_job(tmp_path):
    source = COUNTING.replace('name="pause"', 'name="time"').replace(
        'options["pause"]', 'options["time"]'
    )
    space = lowmem.run(
        job_file(tmp_path, source),
        workspace=tmp_path / "work",
        ram="1G",
        cycle_steps=3,
        rows=7,
        settings={"time": 0.01, "block": 2},
        quiet=True,
    )
    assert json.loads((space.root / "count.json").read_text()) == {"total": 91}
    report = space.report.jobs["count"]
    assert [cycle.items for cycle in report.committed] == [3, 3, 1]
    assert "--set=time=0.01" in report.command


VALUES = """
import json, lowmem
from typing import Literal

@lowmem.job()
def told(ctx, *, names: list[str] = ("x",), numbers: list[float] = (1.0,), on: bool = True,
         time: list[int] = (0,), note: str = "-"):
    'Write what it was given.'
    yield lowmem.CommitPoint(items=1)
    (ctx.staging / "told.json").write_text(json.dumps([names, numbers, on, time, note]))
    return lowmem.Result(publish=["told.json"])
"""


def test_values_arrive_as_they_were_given_or_are_refused(tmp_path):
    job = job_file(tmp_path, VALUES)
    given = {"workspace": tmp_path / "work", "ram": "1G", "quiet": True}
    space = lowmem.run(
        job,
        names=np.array(["q", "w"]),
        numbers=np.array([0.5, 2]),
        on=np.bool_(0),
        settings={"time": [3, 4], "note": None},
        **given,
    )
    told = json.loads((space.root / "told.json").read_text())
    assert told == [["q", "w"], [0.5, 2.0], False, [3, 4], "-"]
    for wrong in (["a,b", "c"], {"b", "a"}, [], [""], {"a": 1}):
        with pytest.raises(UsageError, match=r"^names is "):
            lowmem.run(job, names=wrong, **given)
    for name in ("time", "quiet", "mirror"):
        with pytest.raises(UsageError, match=f"{name} is given to plan"):
            lowmem.plan(job, workspace=tmp_path / "work", **{name: "1"})


def test_results_that_were_removed_are_left_out(tmp_path):
    job = job_file(tmp_path, SQUARES)
    space = lowmem.run(job, workspace=tmp_path / "work", ram="1G", quiet=True)
    assert len(space.arrays) == 1
    shutil.rmtree(space.root / "squares.zarr")
    assert len(space.arrays) == 0


def test_a_run_that_stops_says_so_and_the_same_call_continues(tmp_path):
    job = job_file(tmp_path, COUNTING)
    given = {"workspace": tmp_path / "work", "ram": "1G", "cycle_steps": 2}
    with pytest.raises(lowmem.RunEndedError) as stopped:
        lowmem.run(job, rows=40, pause=0.3, time="8s", quiet=True, **given)
    assert stopped.value.exit_code == 75
    assert "the same command continues it" in stopped.value.said
    kept = lowmem.open(tmp_path / "work").status.jobs["count"]
    assert kept.state == "stopped"
    assert kept.items < 40
    space = lowmem.run(job, rows=40, quiet=True, **given)
    total = sum(n * n for n in range(40))
    assert json.loads((space.root / "count.json").read_text()) == {"total": total}


def test_what_cannot_be_meant_is_refused_with_the_commands_own_words(tmp_path):
    job = job_file(tmp_path, COUNTING)
    with pytest.raises(
        lowmem.RunEndedError, match=r"--row is unknown.*--rows"
    ) as error:
        lowmem.run(job, workspace=tmp_path / "work", row=3, quiet=True)
    assert error.value.exit_code == 2
    with pytest.raises(UsageError, match="expected a job's name, or the file"):
        lowmem.run(lambda _: None, workspace=tmp_path / "work")
    with pytest.raises(UsageError, match="is not there"):
        lowmem.open(tmp_path / "nowhere")


def test_a_name_that_is_markup_is_shown_as_it_is(tmp_path):
    space = tmp_path / "<img src=x onerror=alert(1)>"
    job = job_file(tmp_path, COUNTING)
    with pytest.raises(lowmem.RunEndedError):
        lowmem.run(
            job, workspace=space, ram="1G", rows=4, pause=9, time="2s", quiet=True
        )
    shown = lowmem.open(space)
    for text in (shown._repr_html_(), shown.page._repr_html_()):
        assert "<img src=x" not in text


def test_a_plan_says_what_fits_and_what_does_not(tmp_path):
    job = job_file(tmp_path, COUNTING)
    given = {"workspace": tmp_path / "work"}
    plan = lowmem.plan(job, ram="1G", settings={"block": 2}, **given)
    assert plan.fits
    assert [one.settings for one in plan.plans[0].ladder] == [{"block": 2}]
    assert "<td>block 2</td>" in plan._repr_html_()
    assert not (tmp_path / "work" / "count.json").exists()
    with pytest.raises(lowmem.RunEndedError, match="--row is unknown") as error:
        lowmem.plan(job, row=3, **given)
    assert error.value.exit_code == 2
    needy = COUNTING.replace("settings=(", "calibrate='block', settings=(").replace(
        "total += done * done",
        "total += done * done; held = bytearray(ctx.settings['block'] * 10**8)",
    )
    plan = lowmem.plan(job_file(tmp_path, needy, "needy.py"), ram="200M", **given)
    assert plan.fits is False
    assert "a run begins here" not in repr(plan)


@pytest.mark.parametrize("quiet", [True, False])
def test_an_interrupt_asks_the_job_to_commit_and_stop(tmp_path, quiet):
    job = job_file(tmp_path, COUNTING)
    program = f"""
import lowmem, sys
try:
    lowmem.run({str(job)!r}, workspace={str(tmp_path / "work")!r}, ram="1G",
        rows=10**5, pause=0.01, cycle_steps=5, quiet={quiet})
except lowmem.RunEndedError as error:
    sys.exit(error.exit_code)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, process_group=0
    )
    space = Workspace.at(tmp_path / "work")
    until(lambda: len(committed_cycles(records(space.root))) > 1)
    # To the program alone, as a notebook's kernel is interrupted.
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 75
    kept = lowmem.open(space.root).status.jobs["count"]
    assert kept.state == "stopped"
    assert kept.items >= 10


CELL = """
import lowmem
space = lowmem.run({job!r}, workspace={work!r}, ram="1G", rows=30, pause=0.1)
space
"""
# In a process of its own, so that what the client's libraries warn of stays there.
NOTEBOOK = """
import json, sys, nbclient, nbformat
cell = nbformat.v4.new_code_cell(sys.stdin.read())
images = nbformat.v4.new_code_cell("space.arrays['drawn.zarr/images']")
book = nbformat.v4.new_notebook(cells=[cell, images])
nbclient.NotebookClient(book, timeout=120).execute()
print(json.dumps([cell["outputs"] for cell in book.cells]))
"""


def test_a_notebook_sees_progress_in_one_line_and_the_table_after_it(tmp_path):
    source = COUNTING.replace(
        "    return lowmem.Result(publish=[",
        "    import numpy as np, zarr\n"
        "    faces = np.zeros((4, 8, 8, 3), np.uint8)\n"
        "    group = zarr.open_group(ctx.staging / 'drawn.zarr', mode='w')\n"
        "    group.create_array('images', data=faces)\n"
        "    return lowmem.Result(publish=['drawn.zarr', ",
    )
    job = job_file(tmp_path, source)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOTEBOOK],
        input=CELL.format(job=str(job), work=str(tmp_path / "work")),
        capture_output=True,
        text=True,
        check=True,
        timeout=150,
    )
    first, second = json.loads(done.stdout.splitlines()[-1])
    streams = "".join(o["text"] for o in first if o["output_type"] == "stream")
    assert "count is done" in streams
    assert "\r" not in streams
    renewed = [o for o in first if o["output_type"] == "display_data"]
    assert 1 <= len(renewed) <= 2, "each state is an output of its own"
    (table,) = (o for o in first if o["output_type"] == "execute_result")
    assert "<td>count</td><td>done</td>" in "".join(table["data"]["text/html"])
    (shown,) = second
    assert shown["data"]["image/png"].startswith("iVBOR")


def test_a_store_of_groups_has_its_arrays_by_their_places(tmp_path):
    from lowmem.stores.workspace_array import arrays_in

    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    group.create_group("one").create_array("x", data=np.arange(3))
    group.create_array("y", data=np.array(2.5))
    found = {one.place: one for one in arrays_in(tmp_path / "a.zarr", tmp_path)}
    assert list(found) == ["a.zarr/one/x", "a.zarr/y"]
    assert found["a.zarr/y"][...] == 2.5

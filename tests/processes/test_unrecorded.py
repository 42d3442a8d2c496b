"""A workspace whose `.lowmem` was deleted: what holds results is not told as new."""

from __future__ import annotations

import shutil

import pytest

import lowmem
from lowmem.base.workspace import Workspace
from lowmem.report.write import page_of
from tests.processes.lowmem_runs import COUNTING, job_file, run
from tests.processes.lowmem_runs import lowmem as typed
from tests.report_examples import START

pytestmark = [pytest.mark.process, pytest.mark.slow]

NOTHING = "Nothing has run here"
WORDS = (
    "holds latents.zarr, but no record of how they were made: its .lowmem is not there"
)
MAKES_LATENTS = COUNTING.replace(
    '    return lowmem.Result(publish=["count.json", ',
    '    (ctx.staging / "latents.zarr").mkdir()\n'
    '    return lowmem.Result(publish=["latents.zarr", "count.json", ',
)


def test_results_without_a_record_are_named_by_all_that_look_and_by_the_next_run(
    tmp_path,
):
    job, space = job_file(tmp_path, MAKES_LATENTS), tmp_path / "w"
    assert run(job, space).status == 0
    shutil.rmtree(space / ".lowmem")

    experiment = lowmem.open(space)
    told = [typed(command, space).out for command in ("status", "watch", "report")]
    told += [repr(experiment), experiment._repr_html_()]
    told += [page_of(Workspace.at(space), is_live=False, now=START)]
    for text in told:
        assert WORDS in " ".join(text.split())
        assert NOTHING not in text

    again = run(job, space)
    assert again.status == 0, again
    assert WORDS in " ".join(again.err.split())
    assert "makes its results anew" in " ".join(again.err.split())
    # Once something is recorded it is no news.
    assert WORDS not in " ".join(typed("status", space).out.split())
    assert WORDS not in " ".join(run(job, space).err.split())


def test_a_folder_that_holds_nothing_is_one_where_nothing_has_run(tmp_path):
    for command in ("status", "report"):
        assert NOTHING in typed(command, tmp_path).out
    assert NOTHING in repr(lowmem.open(tmp_path))

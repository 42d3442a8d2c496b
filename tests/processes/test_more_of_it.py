"""More of a finished result, and the command that a refusal names, as a person types them."""

from __future__ import annotations

import re
import shlex

import pytest

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from tests.processes.lowmem_runs import job_file, lowmem, run

pytestmark = [pytest.mark.process, pytest.mark.slow]

GROWING = """
import lowmem

@lowmem.job(options=[
    lowmem.Option(name="rows", kind="int", default=3, is_extent=True),
    lowmem.Option(name="power", kind="int", default=2),
])
def count(ctx):
    'Count rows.'
    path = ctx.staging / "rows.txt"
    if not ctx.state:
        path.write_text((ctx.former / "rows.txt").read_text() if ctx.former else "")
        ctx.log(f"{len(path.read_text().split())} rows taken over")
    for row in range(len(path.read_text().split()), ctx.options["rows"]):
        with path.open("a") as stream:
            stream.write(f"{row ** ctx.options['power']}\\n")
        yield lowmem.CommitPoint(items=1, state={"rows": row + 1})
    return lowmem.Result(publish=["rows.txt"])
"""


def test_more_is_made_of_what_is_there_and_a_refusal_names_a_command_that_works(
    tmp_path,
):
    job, space = job_file(tmp_path, GROWING), tmp_path / "a place"
    assert run(job, space, "--rows", 3).status == 0
    more = run(job, space, "--rows", 5)
    assert more.status == 0, more
    assert "3 rows taken over" in more.err
    assert (space / "rows.txt").read_text() == "0\n1\n4\n9\n16\n"
    verified = lowmem("verify", space)
    assert verified.status == 0, verified

    refused = run(job, space, "--rows", 5, "--power", 3)
    assert refused.status == 2, refused
    assert "(power was 2, now 3)" in refused.paragraph
    held, wanted = re.findall("`(.*?)`", refused.paragraph)
    assert held.endswith("--rows 5")
    assert "The workspace holds rows.txt, by `" in refused.paragraph
    assert lowmem(*shlex.split(wanted)[1:]).status == 0
    assert (space / "rows.txt").read_text() == "0\n1\n8\n27\n64\n"
    told = read_report(Workspace.at(space), is_live=False).jobs["count"]
    assert told.state == "done"

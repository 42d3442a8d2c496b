"""What a job was begun without is no input of it later."""

from __future__ import annotations

import pytest

from lowmem.protocol.messages import Planned
from lowmem.protocol.recipe import Input
from lowmem.supervisor.run import as_begun
from tests.processes.lowmem_runs import job_file, run

NOW = {
    "out": "o",
    "data": "d",
    "data (content)": "1",
    "out (content)": "2",
    "x (data)": 3,
}
PLANNED = Planned(
    recipe=NOW,
    inputs={
        key: Input(path=key, stamp="", content=str(NOW[key]))
        for key in ("data (content)", "out (content)")
    },
)


class History:
    def __init__(self, recipe):
        self.recipe = recipe


@pytest.mark.parametrize(
    ("begun", "kept"),
    [
        ({"out": "o", "data": "d", "data (content)": "0"}, ["data (content)"]),
        # Of before inputs were looked at.
        ({"out": "o", "data": "d"}, []),
        (NOW, ["data (content)", "out (content)"]),
        (None, ["data (content)", "out (content)"]),
    ],
)
def test_only_what_was_recorded_at_the_beginning_is_watched_and_recorded(begun, kept):
    now = as_begun(PLANNED, History(begun))
    assert list(now.inputs) == kept
    assert [key for key in now.recipe if key.endswith("(content)")] == kept
    # All else stays, so that it is compared.
    assert now.recipe["x (data)"] == 3
    assert set(now.recipe) - set(kept) == {"out", "data", "x (data)"}


WRITES = """
import lowmem, os
@lowmem.job(options=[lowmem.Option(name="out", kind="path")])
def writes(ctx):
    'Count into a file that the user names.'
    for n in range(ctx.state.get("n", 0), 4):
        with open(ctx.options["out"], "a") as out:
            out.write(f"{n}")
        marker = ctx.workspace.root / "been"
        if n == 1 and not marker.exists():
            marker.touch()
            raise KeyError("cut")
        yield lowmem.CommitPoint(items=1, state={"n": n + 1})
    return lowmem.Result()
"""


@pytest.mark.process
@pytest.mark.slow
def test_a_path_that_a_job_writes_to_is_no_input_of_it_once_it_is_begun(tmp_path):
    job, out, space = job_file(tmp_path, WRITES), tmp_path / "out.txt", tmp_path / "w"
    words = (job, space, "--out", out)
    assert run(*words, cycle_steps=1).status == 70
    ended = run(*words, cycle_steps=1)
    assert ended.status == 0, ended
    assert out.read_text() == "01123"
    out.write_text("")
    assert "done already" in run(*words).err
    # Begun anew, with something there, it is an input; the user is told what to say.
    refused = run(*words, "--restart", cycle_steps=1)
    assert refused.status == 2, refused
    assert "writes to wants is_input=False" in refused.paragraph

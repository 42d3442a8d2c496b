"""Real hogs under the three forms of a budget within a program: what the kernel saw."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.memory.inline_hogs import BUDGET_MIB, HOGS

pytestmark = [
    pytest.mark.process,
    pytest.mark.memory,
    pytest.mark.slow,
    pytest.mark.alone,
]

PROGRAM = Path(__file__).parent / "inline_hogs.py"


def line_of(comment):
    lines = PROGRAM.read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"# {comment}"))


def lines_of(hog):
    """The places that an error may name; a thread is as likely to be met as the main one."""
    if hog in ("one_shot", "forked_child"):
        return {f"inline_hogs.py:{line_of(hog.replace('_', ' '))} in {hog}"}
    return {f"inline_hogs.py:{line_of('any thread')} in fill"} | {
        f"inline_hogs.py:{line} in ramp" for line in range(1, line_of("forked child"))
    }


@pytest.mark.parametrize("form", ["block", "cell", "function"])
def test_a_hog_is_stopped_at_its_line_within_its_budget_and_the_program_goes_on(
    form, tmp_path
):
    if form == "cell" and importlib.util.find_spec("IPython") is None:
        pytest.skip("IPython is not installed")
    done = subprocess.run(
        [sys.executable, PROGRAM, form, tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    told = {fact["hog"]: fact for fact in map(json.loads, lines)}
    assert set(told) == {*HOGS, "mapped_file"}
    for hog in HOGS:
        fact = told[hog]
        assert fact["error"] == "BudgetExceededError", fact
        assert fact["where"] in lines_of(hog), fact
        assert fact["peak_mib"] <= BUDGET_MIB, fact
        assert fact["is_as_before"], fact
    # A mapped file of twice the budget is no reason to stop anything.
    assert told["mapped_file"]["error"] is None

"""A process that reports stays small; in a browser: tests/browser."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        ("read, lowmem.report.text, lowmem.report.status", {"jinja2", "numpy", "PIL"}),
        ("write", {"numpy", "PIL", "matplotlib"}),
    ],
)
def test_a_process_that_reports_loads_no_array_library(modules, forbidden):
    code = f"import sys, json, lowmem.report.{modules}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert forbidden.isdisjoint(json.loads(done.stdout))

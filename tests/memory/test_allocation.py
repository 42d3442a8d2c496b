"""The first limit of a worker's allocations, which it sets itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.process, pytest.mark.memory]

PROGRAM = """
import sys
from lowmem.memory.allocation import limit_itself
limit_itself(int(sys.argv[1]) * 2**20)
try:
    held = bytearray(int(sys.argv[2]) * 2**20)
except MemoryError:
    print("refused")
else:
    print("given")
"""


@pytest.mark.parametrize(
    ("budget_mib", "asked_mib", "said"),
    [(100, 400, "refused"), (100, 60, "given"), (1000, 400, "given")],
)
def test_an_allocation_beyond_the_budget_is_refused_before_any_reading(
    budget_mib, asked_mib, said
):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(budget_mib), str(asked_mib)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == said

"""The examples in docstrings show what the code really returns."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# They load Keras: their examples are run where other tests have loaded it.
ELSEWHERE = {"lowmem.training.steps", "lowmem.fitting.fit", "lowmem.fitting.resume"}


def _modules() -> list[str]:
    found = []
    for tree in ("lowmem", "jobs/lowmem_jobs"):
        for path in sorted((ROOT / tree).rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                parts = path.relative_to(ROOT).with_suffix("").parts
                found.append(".".join(part for part in parts if part != "jobs"))
    return [name for name in found if name not in ELSEWHERE]


@pytest.mark.parametrize("module", _modules())
def test_every_example_in_a_docstring_holds(module):
    ended = doctest.testmod(importlib.import_module(module))
    assert ended.attempted
    assert not ended.failed

"""Every promise of docs/models.md names a test, and every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/models.md").read_text()


def test_every_test_that_the_page_of_models_names_is_there():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert len(named) > 10
    assert not named - there


def test_every_line_of_its_table_says_what_holds_it():
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    bare = [line for line in lines if not line.endswith(("` |", "the same |"))]
    assert bare == ["| a model, or what it was compiled with | now | held by |"]

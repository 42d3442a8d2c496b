"""Every promise of docs/what-people-see.md names a test, and every such test is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/what-people-see.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ")]


def test_every_line_of_its_tables_names_a_test():
    bare = [line for line in ROWS if "::test_" not in line]
    assert set(bare) == {"| promise | held by |"}
    assert len(ROWS) - len(bare) > 50


def test_every_test_that_it_names_is_there():
    named = set(re.findall(r"`([\w/.]+)::(test_\w+)`", PAGE))
    assert len(named) > 60
    absent = [
        (file, name)
        for file, name in sorted(named)
        if f"\ndef {name}(" not in (ROOT / "tests" / file).read_text(encoding="utf-8")
    ]
    assert absent == []

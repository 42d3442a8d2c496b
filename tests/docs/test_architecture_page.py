"""The page that says where to find things names files that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_answer_of_where_to_find_names_one_file_that_exists():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.partition("\n## Where to find\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)[1:]
    assert len(rows) == 17
    for question, answer in rows:
        (name,) = re.findall(r"`([^`]+)`", answer)
        assert (ROOT / name).is_file(), question

"""Every promise of docs/inputs.md names a test, and every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/inputs.md").read_text()


def test_every_test_that_the_page_of_inputs_names_is_there():
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert len(named) > 50
    assert not named - there


def test_every_line_of_its_tables_names_a_test():
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    bare = [line for line in lines if "`test_" not in line]
    # The heads of the tables.
    assert len(bare) == 6
    assert all(line.endswith("| held by |") for line in bare)


def test_the_extras_that_it_names_can_be_installed():
    project = (ROOT / "pyproject.toml").read_text()
    extras = set(re.findall(r"lowmem\[(\w+)\]", PAGE))
    assert extras == {"tiff", "heif", "jxl", "jpeg2000"}
    for extra in extras:
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE)

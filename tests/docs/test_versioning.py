"""docs/versioning.md names the version and the formats' numbers that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lowmem
from lowmem.checkpoints import manifest
from lowmem.cli import doctor, plan
from lowmem.mirror import names
from lowmem.protocol import records
from lowmem.report import accounting, schema

PAGE = (Path(__file__).parents[2] / "docs" / "versioning.md").read_text("utf-8")


def number_of(what: str) -> int:
    """Return the number in the row of the table of formats that begins so."""
    (row,) = re.findall(rf"^\| {what}.*\| (\d+) \|$", PAGE, re.MULTILINE)
    return int(row)


def test_the_version_is_the_one_that_the_page_speaks_of():
    assert re.fullmatch(r"\d+\.\d+\.\d+", lowmem.__version__)
    assert f"such as {lowmem.__version__}.\n" in PAGE
    assert f"Nothing is deprecated in {lowmem.__version__}." in PAGE


@pytest.mark.parametrize(
    ("what", "numbers"),
    [
        ("journal", {records.FORMAT}),
        ("checkpoints", {manifest.FORMAT}),
        ("markers", {names.FORMAT}),
        ("JSON", {schema.SCHEMA, accounting.SCHEMA, doctor.SCHEMA, plan.SCHEMA}),
    ],
)
def test_each_format_has_the_number_that_the_page_tells(what, numbers):
    assert numbers == {number_of(what)}


def test_the_tests_that_are_named_are_there():
    named = re.findall(r"`(tests/[\w/]+\.py)`", PAGE)
    assert named
    assert all((Path(__file__).parents[2] / name).is_file() for name in named)

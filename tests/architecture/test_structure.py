"""What `benchmarks/structure.py` counts stays as it is: one of each."""

from __future__ import annotations

import pytest

from benchmarks.structure import circles, folds, modules_at, names_twice


@pytest.fixture(scope="module")
def modules():
    return modules_at(None)


def test_no_module_imports_itself_in_the_end_for_types_neither(modules):
    assert circles(modules) == []


def test_each_module_has_a_name_of_its_own(modules):
    assert names_twice(modules) == (0, 0)


def test_records_of_the_journal_are_told_apart_in_one_place(modules):
    assert folds(modules) == ["lowmem.history.fold._Job"]

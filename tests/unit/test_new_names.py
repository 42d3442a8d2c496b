"""Names that `lowmem new` takes, and those that it refuses."""

from __future__ import annotations

import pytest

from lowmem.base.errors import UsageError
from lowmem.cli.new import refuse_hiding, refuse_name

INSTALLED = ["train", "my-own"]


@pytest.mark.parametrize("name", ["counts", "word_counts", "a1", "sums"])
def test_a_plain_name_is_taken(name):
    refuse_name(name, INSTALLED)
    refuse_hiding(name)


@pytest.mark.parametrize("name", ["train", "all", "my_own"])
def test_a_job_that_is_there_keeps_its_name(name):
    with pytest.raises(UsageError, match=r"is a job already, expected .* my-own, all"):
        refuse_name(name, INSTALLED)


@pytest.mark.parametrize(
    "name",
    [
        *("", "3x", "two-words", "a b", "../up", "Upper", "\u00fcber", "class", "_own"),
        *("sum", "range", "print", "conftest"),
    ],
)
def test_what_is_no_name_of_a_function_is_refused(name):
    with pytest.raises(UsageError, match="is no name of a job, expected lower-case"):
        refuse_name(name, INSTALLED)


@pytest.mark.parametrize("name", ["random", "numpy", "lowmem"])
def test_a_name_that_would_hide_a_module_is_refused(name):
    with pytest.raises(UsageError, match=f"{name} is a module that Python can import"):
        refuse_hiding(name)

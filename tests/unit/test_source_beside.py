"""Which modules beside a job are its author's."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from lowmem.worker.memory_key import source_of


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """Return what puts a module into a folder beside a job, as one that is imported."""
    job = tmp_path / "own_job.py"
    job.write_text("")

    def put(name, text="X = 1"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        module = ModuleType("beside_own_job")
        module.__file__ = str(path)
        monkeypatch.setitem(sys.modules, "beside_own_job", module)
        return source_of(str(job))

    return put


@pytest.mark.parametrize("prefix", ["prefix", "base_prefix"])
def test_an_installation_that_lies_beside_a_job_is_not_its_code(
    beside, tmp_path, monkeypatch, prefix
):
    monkeypatch.setattr(sys, prefix, str(tmp_path / "python"))
    name = "python/lib/python3/json.py"
    assert beside(name) == beside(name, "X = 2")
    assert beside("pythons/own.py") != beside("pythons/own.py", "X = 2")


@pytest.mark.parametrize("name", ["site-packages", "dist-packages"])
def test_packages_of_a_user_below_the_folder_of_a_job_are_not_its_code(beside, name):
    path = f".local/lib/python3/{name}/theirs.py"
    assert beside(path) == beside(path, "X = 2")


@pytest.mark.parametrize("prefix", ["prefix", "base_prefix"])
def test_a_job_within_an_installation_has_its_own_code_beside_it(
    beside, tmp_path, monkeypatch, prefix
):
    monkeypatch.setattr(sys, prefix, str(tmp_path.parent))
    assert beside("own.py") != beside("own.py", "X = 2")
    monkeypatch.setattr(sys, prefix, str(tmp_path))
    assert beside("own.py") != beside("own.py", "X = 2")

"""What doctor finds missing."""

from __future__ import annotations

from dataclasses import replace

import psutil
import pytest

from lowmem.cli.doctor import text_from_examination
from lowmem.memory.machine import cpu_count
from lowmem.places.examination import examine


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_framework_asked_for_is_the_one_that_keras_computes_with(
    tmp_path, monkeypatch, backend
):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    found = examine(tmp_path)
    assert set(found.versions) >= {backend, "keras"}
    assert "tensorflow" not in found.versions
    is_named = any(
        problem.startswith(f"{backend} is not") for problem in found.problems
    )
    assert is_named == (found.versions[backend] is None)


def test_cores_to_use_are_told_beside_those_of_the_machine(tmp_path):
    found = examine(tmp_path)
    assert found.cores == cpu_count()
    assert found.physical_cores == psutil.cpu_count(logical=False)
    shared = text_from_examination(replace(found, cores=2, physical_cores=1))
    assert "cores          2 to use; physical cores of the machine: 1\n" in shared
    untold = text_from_examination(replace(found, cores=2, physical_cores=None))
    assert "cores          2\n" in untold

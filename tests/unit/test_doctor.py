"""What doctor finds missing."""

from __future__ import annotations

import pytest

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

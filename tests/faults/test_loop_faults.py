"""A loop's commit is whole or absent, whatever fails, and the loop may go on."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from lowmem import Checkpoint
from lowmem.base.errors import StorageError
from tests.faults.broken_disk import every_failure, faults

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def state(step):
    return {
        "step": step,
        "w": np.full(50, float(step)),
        "rng": np.random.RandomState(step),
    }


def step_on_disk(folder):
    with Checkpoint(folder) as checkpoint:
        found = checkpoint.restore()
    expected = state(found["step"])
    np.testing.assert_array_equal(found["w"], expected["w"])
    assert found["rng"].normal() == expected["rng"].normal()
    return found["step"]


def commits_on(checkpoint):
    """Let the same loop commit once more: no commit that is whole is replaced."""
    before = {path.name for path in checkpoint.folder.glob("gen-*")}
    checkpoint.commit(state(5))
    after = {path.name for path in checkpoint.folder.glob("gen-*")}
    assert max(after) > max(before)


@pytest.mark.parametrize("goes_on", [False, True])
@faults()
def test_a_commit_is_whole_or_absent_after_a_failure_at_any_call(
    tmp_path, number, is_persistent, goes_on
):
    before = tmp_path / "before"
    with Checkpoint(before) as checkpoint:
        for step in range(3):
            checkpoint.commit(state(step))

    # By whether the same loop goes on, and whether the commit succeeded.
    expected = {(False, False): {2, 3}, (False, True): {3}}
    expected |= {(True, False): {5}, (True, True): {5}}

    def attempt(failing):
        folder = tmp_path / "now"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(before, folder)
        is_committed = False
        with Checkpoint(folder, keep=1) as checkpoint:
            checkpoint.restore()
            with failing():
                try:
                    checkpoint.commit(state(3))
                    is_committed = True
                except StorageError:
                    pass
            if goes_on:
                commits_on(checkpoint)
        found = step_on_disk(folder)
        assert found in expected[goes_on, is_committed]
        # The loop goes on once there is space.
        with Checkpoint(folder) as checkpoint:
            checkpoint.restore()
            checkpoint.commit(state(4))
        assert step_on_disk(folder) == 4

    assert every_failure(number, is_persistent=is_persistent, attempt=attempt) > 15

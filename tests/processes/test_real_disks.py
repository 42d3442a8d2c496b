"""A supervised training on a real disk that fills up, has no inodes left, or turns read-only.

`benchmarks/full_disks.py` does the same for every job, at more places.
"""

from __future__ import annotations

import shutil

import pytest

from lowmem.base.files import sync_tree
from tests.faults.job_sweep import differences
from tests.faults.real_disk import (
    can_mount,
    fill,
    give_room,
    make_disk,
    make_read_only,
    mounted,
    take_inodes,
)
from tests.processes.lowmem_runs import committed_cycles, lowmem, records, running

pytestmark = [
    pytest.mark.process,
    pytest.mark.fault,
    pytest.mark.keras,
    pytest.mark.slow,
    pytest.mark.skipif(not can_mount(), reason="needs the rights of root, to mount"),
]

SHAPE = ["--filters", "4,8", "--latent-dim", "3", "--batch-size", "16"]
TRAIN = ["--epochs", "6", *SHAPE, "--device", "cpu", "--quiet"]


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    space = tmp_path_factory.mktemp("disks") / "w"
    source = ["--source", "faces:96", "--size", "16", "--quiet"]
    ended = lowmem("run", "ingest", "--workspace", space, *source)
    assert ended.status == 0, ended
    return space


@pytest.fixture(scope="module")
def expected(before, tmp_path_factory):
    space = tmp_path_factory.mktemp("expected") / "w"
    shutil.copytree(before, space)
    ended = lowmem("run", "train", "--workspace", space, *TRAIN)
    assert ended.status == 0, ended
    return space


def trained(space):
    return [c for c in committed_cycles(records(space)) if c.job == "train"]


@pytest.mark.parametrize("disturb", [fill, take_inodes, make_read_only])
def test_a_training_on_a_disk_that_fails_ends_with_74_and_what_was_committed_counts(
    tmp_path, before, expected, disturb
):
    make_disk(tmp_path / "image")
    with mounted(tmp_path / "image", tmp_path / "disk") as disk:
        space = disk / "w"
        shutil.copytree(before, space)
        # Else it would be lost with the rest that an aborted disk has not written.
        sync_tree(space)
        with running("train", space, *TRAIN, cycle_steps=2) as live:
            live.wait_for(lambda _: len(trained(space)) >= 2)
            disturb(disk)
            ended = live.end()
        assert ended.status == 74, ended
        assert "Traceback" not in ended.err
        assert str(disk) in ended.paragraph
        n_committed = len(trained(space))
    with mounted(tmp_path / "image", tmp_path / "disk") as disk:
        give_room(disk)
        ended = lowmem("run", "train", "--workspace", space, "--cycle-steps", 2, *TRAIN)
        assert ended.status == 0, ended
        cycles = [c.cycle for c in trained(space)]
        # The second command took none of them again.
        assert [c.index for c in cycles] == list(range(len(cycles)))
        assert 2 <= n_committed < len(cycles)
        assert differences("train", expected, space) == []

"""What was damaged on the disk before it was published is not published."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from lowmem.base.errors import DataError, StorageError
from lowmem.base.workspace import Workspace
from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.job import Job, Result
from lowmem.stores.row_writer import RowWriter
from lowmem.worker import cycles
from tests.driver import drive

pytestmark = pytest.mark.fault


def squares(ctx):
    """Write a store of three chunks and a text, and commit after each chunk."""
    writer = RowWriter.open(
        ctx.staging / "squares.zarr",
        "squares",
        row_shape=(3,),
        dtype=np.int64,
        chunk_rows=4,
        n_rows=ctx.state.get("rows", 0),
    )
    for start in range(writer.n_rows, 12, 4):
        writer.append(np.arange(start * 3, start * 3 + 12).reshape(4, 3) ** 2)
        state = {"rows": start + 4}
        yield CommitPoint(items=4, state=state, flush=writer.flush)
    writer.flush()
    (ctx.staging / "squares.txt").write_text("12 squares\n")
    return Result(publish=["squares.zarr", "squares.txt"])


JOB = Job(name="squares", work=squares)


def flip(path, place=-9):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.fixture
def space(tmp_path):
    """A workspace with an older result, which is to stay."""
    found = Workspace.at(tmp_path / "w")
    found.root.mkdir()
    (found.root / "squares.txt").write_text("the former\n")
    return found


def test_a_chunk_that_was_damaged_after_its_commit_is_not_published(space):
    drive(JOB, space.root, leave_after=2)
    chunk = space.staging("squares") / "squares.zarr" / "squares" / "c.0.0"
    flip(chunk)
    with pytest.raises(DataError, match=r"c\.0\.0 \(samples 0 to 3\) was altered"):
        drive(JOB, space.root)
    assert not (space.root / "squares.zarr").exists()
    assert (space.root / "squares.txt").read_text() == "the former\n"
    # Nor by trying again; the bit being right again, it is.
    with pytest.raises(DataError):
        drive(JOB, space.root)
    flip(chunk)
    assert drive(JOB, space.root) is not None


@pytest.mark.parametrize("name", ["squares.txt", "squares.zarr/squares/zarr.json"])
def test_a_file_that_was_damaged_after_the_last_commit_is_not_published(
    space, name, monkeypatch
):
    def full(*_):
        raise StorageError(path="disk", problem="full")

    with monkeypatch.context() as patch:
        patch.setattr(cycles, "publish", full)
        with pytest.raises(StorageError):
            drive(JOB, space.root)
    staged = space.staging("squares") / name
    flip(staged)
    with pytest.raises(DataError, match="before it was published"):
        drive(JOB, space.root)
    assert not (space.root / "squares.zarr").exists()
    assert (space.root / "squares.txt").read_text() == "the former\n"
    flip(staged)
    # Cut between two results: the first is in its place, the second follows.
    shutil.move(space.staging("squares") / "squares.zarr", space.root)
    assert drive(JOB, space.root) is not None
    assert (space.root / "squares.txt").read_text() == "12 squares\n"

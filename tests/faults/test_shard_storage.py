"""A shared folder at its worst: late and doubled listings, half files, flipped bits."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowmem.base.errors import StorageError
from lowmem.shards.board import Board
from lowmem.shards.claiming import Claimant
from lowmem.shards.claims import candidates, is_done
from lowmem.shards.complete import tally_of
from lowmem.shards.shard import Shard
from tests.faults.faulty_mirror import VARIABLE, FaultyFileSystem
from tests.mirrors import TestClock

pytestmark = pytest.mark.fault

N_BLOCKS = 3


class Drive:
    """A drive with faults as the storage of a board."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files = FaultyFileSystem()

    def names(self, folder: str):
        path = self._root / folder
        if not self._files.exists(str(path)):
            return ()
        return [Path(found).name for found in self._files.ls(str(path))]

    def create(self, name: str, parts) -> None:
        path = self._root / name
        self._files.makedirs(str(path.parent), exist_ok=True)
        assert not path.exists()
        with self._files.open(str(path), "wb") as stream:
            for part in parts:
                stream.write(bytes(part))

    def read(self, name: str):
        with self._files.open(str(self._root / name)) as stream:
            yield stream.read()

    def remove(self, name: str) -> None:
        self._files.rm_file(str(self._root / name))


@pytest.fixture
def faults(tmp_path, monkeypatch):
    """Return the file that lists the faults of the drive."""
    path = tmp_path / "faults.txt"
    path.write_text("")
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def rows_of(block: int) -> bytes:
    return f"rows of block {block}".encode() * 5


def claimant(root: Path, index: int = 0, count: int = 1) -> Claimant:
    return Claimant(
        job="job",
        board=Board(Drive(root), TestClock()),
        shard=Shard(index=index, count=count),
        n_blocks=N_BLOCKS,
        holder=f"{index}of{count}",
        lease_s=5,
        clock=TestClock(),
    )


def make_all(one: Claimant) -> int:
    n_made = 0
    for claim in one.claims():
        assert claim is not None
        n_made += one.board.publish(claim, [rows_of(claim.attempt.block)])
    return n_made


@pytest.mark.parametrize(
    "words", ["", "late", "twice", "shuffled", "late twice shuffled"]
)
def test_blocks_are_made_once_whatever_a_listing_looks_like(tmp_path, faults, words):
    root = tmp_path / "drive"
    faults.write_text(words)
    assert [make_all(claimant(root, index, 2)) for index in (1, 0)] == [2, 1]
    board = Board(Drive(root), TestClock())
    view = board.whole_view()
    assert tally_of(view).is_complete
    for block in range(N_BLOCKS):
        (output,) = candidates(view, block)
        assert board.rows(output) == rows_of(block)


@pytest.mark.parametrize("word", ["truncate", "flip"])
def test_rows_that_are_not_given_back_are_not_told_as_done(tmp_path, faults, word):
    root = tmp_path / "drive"
    faults.write_text(word)
    with pytest.raises(StorageError, match="does not give back what it took"):
        make_all(claimant(root))
    view = Board(Drive(root), TestClock()).whole_view()
    assert not is_done(view, 0)
    faults.write_text("")
    assert make_all(claimant(root)) == N_BLOCKS
    # What was spoilt lies there, and nothing vouches for it.
    view = Board(Drive(root), TestClock()).whole_view()
    assert [len(view.outputs[block]) for block in range(N_BLOCKS)] == [1, 1, 1]


@pytest.mark.parametrize("word", ["enospc", "eio", "gone"])
def test_a_drive_that_fails_leaves_what_was_done_before(tmp_path, faults, word):
    root = tmp_path / "drive"
    one = claimant(root)
    claims = one.claims()
    first = next(claims)
    assert first is not None
    assert one.board.publish(first, [rows_of(0)])
    faults.write_text(word)
    with pytest.raises(OSError, match=r"\[Errno"):
        next(claims)
    faults.write_text("")
    assert make_all(claimant(root)) == N_BLOCKS - 1

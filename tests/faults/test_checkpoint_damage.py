"""Damage to a checkpoint on the disk is found, and the one before is used."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.base.errors import CorruptFileError
from lowmem.checkpoints.commit import commit
from lowmem.checkpoints.generations import generation_path, generations
from lowmem.checkpoints.manifest import (
    ARRAYS,
    MANIFEST,
    FileEntry,
    bytes_from_manifest,
    manifest_from_bytes,
)
from lowmem.checkpoints.restore import restore
from tests.faults.test_checkpoint_faults import commit_generation, manifest

pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a folder with two generations, to be copied."""
    folder = tmp_path_factory.mktemp("whole")
    for generation in range(2):
        commit_generation(folder, generation)
    return folder


def damaged_copy(whole, tmp_path_factory, name, change):
    folder = tmp_path_factory.mktemp("damaged") / "checkpoints"
    shutil.copytree(whole, folder)
    path = generation_path(folder, 1) / name
    path.write_bytes(change(path.read_bytes()))
    return folder


@pytest.mark.slow
@given(data=st.data(), name=st.sampled_from([ARRAYS, MANIFEST]))
def test_one_flipped_bit_anywhere_makes_the_former_generation_count(
    whole, tmp_path_factory, data, name
):
    size = (generation_path(whole, 1) / name).stat().st_size
    place = data.draw(st.integers(0, size - 1))
    bit = 1 << data.draw(st.integers(0, 7))

    def flip(content):
        return content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :]

    folder = damaged_copy(whole, tmp_path_factory, name, flip)
    restored = restore(folder)
    assert restored.manifest.generation == 0
    assert restored.damaged == ("gen-00000001",)
    np.testing.assert_array_equal(restored.arrays["w"], np.zeros(50))
    restored.arrays.close()
    # Its number is free for the next commit.
    assert generations(folder) == [0]


@pytest.mark.slow
@given(data=st.data(), name=st.sampled_from([ARRAYS, MANIFEST]))
def test_a_file_cut_or_lengthened_makes_the_former_generation_count(
    whole, tmp_path_factory, data, name
):
    size = (generation_path(whole, 1) / name).stat().st_size
    kept = data.draw(st.integers(0, size + 20).filter(lambda n: n != size))
    folder = damaged_copy(
        whole, tmp_path_factory, name, lambda content: content.ljust(kept, b"\0")[:kept]
    )
    restored = restore(folder)
    assert restored.manifest.generation == 0
    restored.arrays.close()


def test_a_manifest_without_its_last_byte_does_not_count(whole, tmp_path_factory):
    folder = damaged_copy(
        whole, tmp_path_factory, MANIFEST, lambda content: content[:-1]
    )
    restored = restore(folder)
    assert restored.manifest.generation == 0
    restored.arrays.close()


@pytest.mark.parametrize("name", [ARRAYS, MANIFEST])
def test_a_missing_file_makes_the_former_generation_count(
    whole, tmp_path_factory, name
):
    folder = damaged_copy(whole, tmp_path_factory, name, lambda content: content)
    (generation_path(folder, 1) / name).unlink()
    restored = restore(folder)
    assert restored.manifest.generation == 0
    restored.arrays.close()


def test_if_no_generation_is_whole_nothing_is_deleted_and_the_loss_is_told(
    whole, tmp_path_factory
):
    folder = damaged_copy(whole, tmp_path_factory, MANIFEST, lambda _: b"")
    (generation_path(folder, 0) / MANIFEST).write_bytes(b"x")
    with pytest.raises(CorruptFileError, match="gen-00000001, gen-00000000"):
        restore(folder)
    assert generations(folder) == [0, 1]


def test_no_checkpoint_at_all_is_no_error(tmp_path):
    assert restore(tmp_path / "none") is None


def test_what_a_crash_left_half_written_is_deleted(whole, tmp_path):
    folder = tmp_path / "checkpoints"
    shutil.copytree(whole, folder)
    shutil.copytree(generation_path(folder, 1), folder / "tmp")
    restored = restore(folder)
    assert restored.manifest.generation == 1
    assert not (folder / "tmp").exists()
    restored.arrays.close()


def test_arrays_that_would_need_pickle_are_neither_written_nor_read(tmp_path):
    folder = tmp_path / "checkpoints"
    commit_generation(folder, 0)
    objects = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle"):
        commit(folder, manifest(1), [("objects", objects)])
    assert generations(folder) == [0]
    assert not (folder / "tmp").exists()
    # One that was smuggled in, with checksums that match.
    path = generation_path(folder, 0)
    np.savez(path / ARRAYS, objects=objects)
    content = (path / ARRAYS).read_bytes()
    entry = FileEntry(
        size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()
    )
    forged = manifest_from_bytes((path / MANIFEST).read_bytes())
    forged.files[ARRAYS] = entry
    (path / MANIFEST).write_bytes(bytes_from_manifest(forged))
    restored = restore(folder)
    with pytest.raises(ValueError, match="allow_pickle"):
        restored.arrays["objects"]
    restored.arrays.close()


def test_a_checkpoint_without_arrays_has_no_file_of_them(tmp_path):
    path = commit(tmp_path / "checkpoints", manifest(0))
    assert [p.name for p in path.iterdir()] == [MANIFEST]
    assert dict(restore(tmp_path / "checkpoints").arrays) == {}


def test_two_generations_are_kept(tmp_path):
    for generation in range(4):
        commit_generation(tmp_path, generation)
    assert generations(tmp_path) == [2, 3]


def test_equal_states_are_equal_files(tmp_path):
    for place in ("a", "b"):
        commit_generation(tmp_path / place, 0)
    first, second = (
        (generation_path(tmp_path / place, 0) / ARRAYS).read_bytes()
        for place in ("a", "b")
    )
    assert first == second

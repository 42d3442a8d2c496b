"""A folder that lies in memory is known as such, whatever its path."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowmem.base import mounts
from lowmem.base.mounts import is_in_memory


def test_a_folder_in_memory_is_told_from_one_on_a_disk():
    shared = Path("/dev/shm")
    if not shared.is_dir():
        pytest.skip("needs /dev/shm")
    assert is_in_memory(shared)
    assert not is_in_memory(Path("/proc"))
    assert not is_in_memory(shared / "that" / "is" / "not" / "there")


@pytest.mark.parametrize("name", ["plain", "with space", "Größe", "back\\slash"])
@pytest.mark.parametrize(("kind", "expected"), [("tmpfs", True), ("ext4", False)])
def test_the_last_file_system_at_a_place_counts(
    tmp_path, monkeypatch, name, kind, expected
):
    place = tmp_path / name
    place.mkdir()
    escaped = str(place).replace("\\", r"\134").replace(" ", r"\040")
    table = tmp_path / "mounts"
    table.write_text(
        f"a / ext4 rw 0 0\nb {escaped} xfs rw 0 0\nc {escaped} {kind} rw\n"
    )
    monkeypatch.setattr(mounts, "_MOUNTS", table)
    assert is_in_memory(place) is expected

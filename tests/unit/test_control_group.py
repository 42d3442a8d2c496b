"""The kernel's backstop: made where it can be, and nowhere missed."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lowmem.memory.control_group import ControlGroup

GIB = 2**30
# `memory.max` cannot be made in a plain folder by `mkdir`, as the kernel does it: the
# tests' groups exist before.
V1 = ("4:memory:/docker/0a1b\n", "memory/docker/0a1b", "memory.limit_in_bytes")
V2 = ("0::/user.slice/app\n", "user.slice/app", "memory.max")


def machine(tmp_path, lines, group, *, is_v2):
    """Write the files of one machine; return its proc, its mount and the group."""
    proc, mount = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(lines)
    (mount / group).mkdir(parents=True)
    if is_v2:
        (mount / "cgroup.controllers").touch()
    return proc, mount, mount / group


@pytest.mark.parametrize(("version", "is_v2"), [(V1, False), (V2, True)])
def test_a_group_is_made_within_ones_own_with_a_little_more_than_the_budget(
    tmp_path, version, is_v2
):
    lines, folder, name = version
    proc, mount, own = machine(tmp_path, lines, folder, is_v2=is_v2)
    group = ControlGroup.make(GIB, proc, mount)
    assert group.path == own / f"lowmem-{os.getpid()}"
    limit = int((group.path / name).read_text())
    assert GIB < limit < 1.06 * GIB
    group.admit(1234)
    assert (group.path / "cgroup.procs").read_text() == "1234"


@pytest.mark.parametrize("lines", ["", "9:name=systemd:/\n1:cpu:/\n", None])
def test_without_control_groups_there_is_none_and_nothing_fails(tmp_path, lines):
    (tmp_path / "self").mkdir()
    if lines is not None:
        (tmp_path / "self" / "cgroup").write_text(lines)
    group = ControlGroup.make(GIB, tmp_path, tmp_path / "none")
    assert group.path is None
    group.admit(1234)
    group.remove()


def test_groups_that_killed_supervisors_left_are_removed(tmp_path):
    proc, mount, own = machine(tmp_path, V2[0], V2[1], is_v2=True)
    (own / "lowmem-1").mkdir()
    ControlGroup.make(GIB, proc, mount)
    assert not (own / "lowmem-1").exists()


@pytest.mark.process
@pytest.mark.slow
def test_the_kernel_stops_a_process_in_a_real_group_beyond_its_limit():
    group = ControlGroup.make(100 * 2**20)
    if group.path is None:
        pytest.skip("no control group can be made here")
    hold = "import sys; sys.stdin.read(1); held = b'x' * (300 * 2**20)"
    process = subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE)
    group.admit(process.pid)
    process.communicate(b"x")
    group.remove()
    assert process.returncode == -9
    assert not group.path.exists()

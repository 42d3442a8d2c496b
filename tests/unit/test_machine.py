"""Limits of control groups as kernels really show them, and the default budget."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.memory.machine import (
    LEAST_AVAILABLE_SHARE,
    Machine,
    cgroup_limits,
    cpu_count,
    default_ram_budget_bytes,
    disk_free_bytes,
    identity_of,
    memory_of,
    read_machine,
    waiting_bytes,
)

# Version 1: as captured on Linux 6.18, with round figures. Version 2: in the
# form of the kernel's documentation (admin-guide/cgroup-v2), whose keys have no
# ``total_`` before them.
V1_LINES = """9:name=systemd:/
8:pids:/
4:memory:/docker/0a1b
2:cpuacct:/
1:cpu:/
"""
V1_STAT = """cache 39776256
rss 2416640
shmem 0
mapped_file 962560
inactive_anon 2359296
active_anon 12288
inactive_file 3141632
active_file 36634624
unevictable 0
hierarchical_memory_limit 9223372036854771712
total_cache 51380224
total_rss 2416640
total_shmem 0
total_mapped_file 962560
total_inactive_file 10485760
total_active_file 31457280
total_unevictable 0
"""
V2_STAT = """anon 104857600
file 41943040
kernel 3145728
inactive_anon 104845312
active_anon 12288
inactive_file 31457280
active_file 10485760
"""
NO_LIMIT_V1 = "9223372036854771712"
MIB = 2**20


@pytest.fixture
def kernel(tmp_path):
    """Return a function that writes captured files: /proc lines and groups' files."""

    def write(lines, files):
        (tmp_path / "proc" / "self").mkdir(parents=True)
        (tmp_path / "proc" / "self" / "cgroup").write_text(lines)
        mount = tmp_path / "cgroup"
        mount.mkdir()
        for name, content in files.items():
            path = mount / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return cgroup_limits(tmp_path / "proc", mount)

    return write


def v1(folder, limit, usage, stat=V1_STAT):
    return {
        f"memory/{folder}memory.limit_in_bytes": f"{limit}\n",
        f"memory/{folder}memory.usage_in_bytes": f"{usage}\n",
        f"memory/{folder}memory.stat": stat,
    }


def v2(folder, limit, usage, stat=V2_STAT):
    return {
        f"{folder}memory.max": f"{limit}\n",
        f"{folder}memory.current": f"{usage}\n",
        f"{folder}memory.stat": stat,
    }


def test_version_1_gives_the_limit_and_the_use_without_the_page_cache(kernel):
    found = kernel(
        V1_LINES,
        v1("docker/0a1b/", 1024 * MIB, 200 * MIB) | v1("", NO_LIMIT_V1, 999 * MIB),
    )
    assert found == [(1024 * MIB, 160 * MIB)]


def test_version_2_gives_the_limit_and_the_use_without_the_page_cache(kernel):
    found = kernel(
        "0::/user.slice/job.scope\n",
        {"cgroup.controllers": "memory cpu\n"}
        | v2("user.slice/job.scope/", 512 * MIB, 200 * MIB),
    )
    assert found == [(512 * MIB, 160 * MIB)]


def test_every_ancestor_with_a_limit_counts(kernel):
    found = kernel(
        "0::/a/b/c\n",
        {"cgroup.controllers": "memory\n"}
        | v2("a/", 300 * MIB, 100 * MIB)
        | v2("a/b/", "max", 90 * MIB)
        | v2("a/b/c/", 800 * MIB, 80 * MIB),
    )
    assert found == [(800 * MIB, 40 * MIB), (300 * MIB, 60 * MIB)]


def test_a_hybrid_machine_keeps_memory_in_version_1(kernel):
    found = kernel(
        V1_LINES + "0::/docker/0a1b\n",
        v1("docker/0a1b/", 1024 * MIB, 200 * MIB)
        | {"unified/cgroup.controllers": "\n", "unified/docker/0a1b/cgroup.procs": ""},
    )
    assert found == [(1024 * MIB, 160 * MIB)]


def test_inside_a_container_the_groups_path_may_not_be_visible(kernel):
    # Without a cgroup namespace the path is the host's; the mount's root is ours.
    found = kernel(V1_LINES, v1("", 256 * MIB, 100 * MIB))
    assert found == [(256 * MIB, 60 * MIB)]


@pytest.mark.parametrize("lines", ["", "3:cpu:/x\n", "0::/\n"])
def test_without_limits_there_are_none(kernel, lines):
    assert kernel(lines, {}) == []


def test_without_control_groups_there_are_none(tmp_path):
    assert cgroup_limits(tmp_path, tmp_path) == []


def test_missing_statistics_count_the_page_cache_as_used(kernel):
    files = v2("", 512 * MIB, 200 * MIB)
    del files["memory.stat"]
    found = kernel("0::/\n", files | {"cgroup.controllers": "memory\n"})
    assert found == [(512 * MIB, 200 * MIB)]


def test_more_page_cache_than_use_is_no_negative_use(kernel):
    files = {"cgroup.controllers": "memory\n"} | v2("", 512 * MIB, 1 * MIB)
    assert kernel("0::/\n", files) == [(512 * MIB, 0)]


def test_the_machine_is_never_larger_than_what_psutil_says():
    machine = read_machine()
    assert 0 < machine.available_bytes <= machine.total_bytes
    assert machine.total_bytes <= psutil.virtual_memory().total


@pytest.mark.alone
def test_total_and_available_are_those_of_psutil():
    read = Path("/proc/meminfo").read_bytes
    for _ in range(20):
        before, told, after = read(), psutil.virtual_memory(), read()
        bounds = sorted((memory_of(before), memory_of(after)))
        if bounds[0][1] <= told.available <= bounds[1][1]:
            assert bounds[0][0] == bounds[1][0] == told.total
            return
    pytest.fail(f"{told} does not lie between {bounds}")


def test_the_free_room_of_a_disk_is_that_of_psutil(tmp_path):
    before = psutil.disk_usage(str(tmp_path)).free
    found = disk_free_bytes(tmp_path / "not" / "there")
    after = psutil.disk_usage(str(tmp_path)).free
    # Others write meanwhile.
    slack = 64 * MIB
    assert min(before, after) - slack <= found <= max(before, after) + slack


@given(total=st.integers(2**28, 2**40), share=st.floats(0, 1))
def test_the_default_budget_is_what_is_free_and_never_more_than_colab_has(total, share):
    machine = Machine(total_bytes=total, available_bytes=int(total * share))
    budget = default_ram_budget_bytes(machine)
    assert 0 <= budget <= min(12_700_000_000, machine.available_bytes)


@given(total=st.integers(2**24, 2**40))
def test_a_machine_is_exhausted_when_almost_nothing_is_left_and_not_before(total):
    assert Machine(total_bytes=total, available_bytes=0).is_exhausted
    assert not Machine(total_bytes=total, available_bytes=total // 2).is_exhausted


def test_a_process_is_known_by_more_than_its_number():
    me = identity_of(os.getpid())
    assert me == identity_of(os.getpid())
    assert me.started_ticks > 0
    assert identity_of(2**22 + 1) is None
    parent = identity_of(os.getppid())
    assert parent is None or parent != me


def test_the_disk_of_a_folder_that_is_not_there_is_that_of_its_parent(tmp_path):
    found = disk_free_bytes(tmp_path / "a" / "b")
    assert found == pytest.approx(disk_free_bytes(tmp_path), rel=0.2)
    assert disk_free_bytes(Path("/")) > 0


def test_cores_are_those_that_this_process_may_use():
    assert cpu_count() == len(os.sched_getaffinity(0))


@given(available=st.integers(0, 2**34), total=st.just(2**34), rate=st.floats(1e9, 1e11))
def test_the_machine_is_looked_at_again_before_what_is_left_can_be_filled(
    available, total, rate
):
    machine = Machine(total_bytes=total, available_bytes=available)
    due_s = machine.next_look_s(rate)
    assert 0.05 <= due_s <= 2.0
    if due_s > 0.05:
        assert available - rate * due_s >= machine.least_bytes * 0.999


ZONES = """Node 0, zone    DMA32
  pagesets
    cpu: 0
              count:    1391
              high:     1442
    cpu: 1
              count:    9
Node 0, zone   Normal
  pages free     52831
  pagesets
    cpu: 0
              count:    19204
"""


def test_free_pages_that_wait_for_a_processor_are_available(tmp_path, monkeypatch):
    (tmp_path / "zoneinfo").write_text(ZONES)
    page = os.sysconf("SC_PAGE_SIZE")
    assert waiting_bytes(tmp_path) == (1391 + 9 + 19204) * page
    assert waiting_bytes(tmp_path / "hidden") == 0
    least = LEAST_AVAILABLE_SHARE * 2**35
    short = int(0.9 * least)
    monkeypatch.setattr("lowmem.memory.machine.memory_of", lambda _: (2**35, short))
    monkeypatch.setattr("lowmem.memory.machine.cgroup_limits", list)
    monkeypatch.setattr("lowmem.memory.machine.waiting_bytes", lambda: 0)
    assert read_machine().is_exhausted
    # No job is stopped, and no plan refused, for pages that only wait.
    monkeypatch.setattr("lowmem.memory.machine.waiting_bytes", lambda: int(least))
    assert not read_machine().is_exhausted
    assert read_machine().available_bytes == short + int(least)

"""The account of shared memory: arithmetic, and the kernel's own count."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowmem.memory.hugepages import HugePages
from lowmem.memory.proc import field_bytes
from lowmem.memory.process_tree import TreeSampler
from lowmem.memory.shared import Bounds, SharedMemory, shared_bounds

MIB = 2**20
sizes = st.integers(0, 2**36)


@given(
    old=sizes,
    old_mapped=st.floats(0, 1),
    new_mapped=sizes,
    new_unmapped=sizes,
    n_mappers=st.integers(1, 4),
)
def test_what_a_job_adds_is_counted_and_no_page_counts_twice(
    old, old_mapped, new_mapped, new_unmapped, n_mappers
):
    own_old = int(old * old_mapped)
    growth = new_mapped + new_unmapped
    once = own_old + new_mapped
    found = shared_bounds(growth, old + growth, Bounds(once, n_mappers * once))
    in_use = own_old + growth
    # Never more than there is, never less than was added or is mapped.
    assert found.least_bytes <= in_use <= found.most_bytes
    assert found.least_bytes == max(growth, once)
    assert found.most_bytes <= old + growth


@given(totals=st.lists(sizes, min_size=1))
def test_growth_is_counted_from_the_least_that_the_machine_had(totals):
    left = iter([totals[0], *totals])
    shared = SharedMemory(read_total=lambda: next(left))
    for number, total in enumerate(totals):
        shared.read()
        assert shared.growth_bytes == total - min(totals[: number + 1])


def test_what_was_mapped_at_the_start_is_the_trees_own():
    shared = SharedMemory(read_total=lambda: 100)
    shared.own(30)
    shared.read()
    assert shared.growth_bytes == 30
    assert shared.bounds(Bounds(30, 30)).least_bytes == 30


@pytest.mark.alone
def test_the_count_is_that_of_the_kernels_own_report():
    def reported():
        return field_bytes(Path("/proc/meminfo").read_bytes(), b"Shmem:")

    shared = SharedMemory()
    before = reported()
    held = mmap.mmap(-1, 32 * MIB)
    held.write(b"x" * len(held))
    shared.read()
    added, grown = reported() - before, shared.growth_bytes
    held.close()
    # Of a machine that does other things too: each processor keeps 125 pages of it back.
    slack = (os.cpu_count() or 1) * 125 * 4096 + 2 * MIB
    assert abs(added - grown) < slack
    assert grown > 32 * MIB - slack


@pytest.mark.alone
def test_shared_memory_without_a_process_that_maps_it_counts_until_it_is_given_back():
    shared = SharedMemory()
    with TreeSampler(os.getpid(), shared) as tree:
        before = tree.read().ram_bytes
        descriptor = os.memfd_create("unmapped")
        os.write(descriptor, b"x" * (40 * MIB))
        held = tree.read()
        assert held.ram_bytes - before > 38 * MIB
        assert held.unmapped_bytes > 38 * MIB
        os.close(descriptor)
        assert tree.read().ram_bytes - before < 2 * MIB
    # The account goes on: a later worker is not forgiven what an earlier one left.
    descriptor = os.memfd_create("left")
    os.write(descriptor, b"x" * (40 * MIB))
    with TreeSampler(os.getpid(), shared) as tree:
        assert tree.read().unmapped_bytes > 38 * MIB
    os.close(descriptor)


def pool(folder, kib, *, pages, overcommitted=0):
    place = folder / f"hugepages-{kib}kB"
    place.mkdir(parents=True)
    (place / "nr_hugepages").write_text(f"{pages}\n")
    (place / "nr_overcommit_hugepages").write_text(f"{overcommitted}\n")
    return place / "nr_hugepages"


@pytest.mark.parametrize("is_root", [False, True])
def test_huge_pages_of_pools_that_can_grow_count_in_every_size(tmp_path, is_root):
    small = pool(tmp_path, 2048, pages=3, overcommitted=9)
    pool(tmp_path, 2**20, pages=1)
    (tmp_path / "another file").touch()
    found = HugePages(tmp_path, is_root=is_root)
    large = 2**30 if is_root else 0
    assert found.n_bytes() == 3 * 2 * MIB + large
    small.write_text("12\n")
    assert found.n_bytes() == 12 * 2 * MIB + large


def test_where_no_pool_can_grow_or_is_shown_there_are_no_huge_pages(tmp_path):
    pool(tmp_path, 2048, pages=3)
    assert HugePages(tmp_path, is_root=False).n_bytes() == 0
    assert HugePages(tmp_path / "hidden", is_root=True).n_bytes() == 0

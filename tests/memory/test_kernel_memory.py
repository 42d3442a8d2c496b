"""What the kernel holds for processes and threads counts, by its own control group."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lowmem.memory.process_tree import TreeSampler
from tests.unit.test_process_memory import child_of

pytestmark = [pytest.mark.process, pytest.mark.memory, pytest.mark.slow]

CHILDREN = """
for _ in range(60):
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
"""
# Libraries of many parts have many mappings.
LIBRARIES = "import numpy, scipy.stats, sklearn.decomposition\n"
THREADS = """
import threading, time
threading.stack_size(2**16)
for _ in range(400):
    threading.Thread(target=sys.stdin.read, daemon=True).start()
"""


@pytest.fixture
def group():
    """Return a new control group of the kernel's that counts its own memory."""
    root = Path("/sys/fs/cgroup/memory")
    root = root if root.is_dir() else Path("/sys/fs/cgroup")
    made = root / f"lowmem-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError:
        pytest.skip("needs a control group of its own")
    yield made
    until = time.monotonic() + 10
    while made.is_dir() and time.monotonic() < until:
        with suppress(OSError):
            made.rmdir()


def kernel_bytes(group):
    """Return what the kernel says that it holds for a group."""
    with suppress(FileNotFoundError):
        return int((group / "memory.kmem.usage_in_bytes").read_text())
    for line in (group / "memory.stat").read_text().splitlines():
        if line.startswith("kernel "):
            return int(line.split()[1])
    pytest.skip("the group does not tell of the kernel's memory")


@pytest.mark.parametrize(
    ("setup", "n"), [(CHILDREN, 60), (LIBRARIES + CHILDREN, 60), (THREADS, 400)]
)
def test_what_the_kernel_holds_for_processes_and_threads_counts(group, setup, n):
    enter = f"open({str(group / 'cgroup.procs')!r}, 'w').write(str(os.getpid()))\n"
    with TreeSampler(os.getpid()) as tree, child_of(enter + setup):
        tree.find_pids()
        counted = sum(process.kernel_bytes for process in tree.members)
        held = kernel_bytes(group)
        assert held <= counted < 2 * held
        assert counted > n * 20 * 2**10

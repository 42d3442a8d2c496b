"""What the watching process allows, when the watched one changes while it is read."""

from __future__ import annotations

import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from lowmem.inline.watcher import Watcher
from lowmem.inline.watcher_messages import Follow
from lowmem.memory.budget import RamBudget
from lowmem.memory.proc import field_bytes
from lowmem.memory.process_tree import TreeSampler

pytestmark = [pytest.mark.process, pytest.mark.memory]

MIB = 2**20
FREED_MIB = 60
GIVES_BACK = f"""
import mmap, sys
held = mmap.mmap(-1, {FREED_MIB * MIB}, flags=mmap.MAP_PRIVATE)
held.write(b"x" * len(held))
print("held", flush=True)
sys.stdin.readline()
held.close()
print("gone", flush=True)
sys.stdin.readline()
"""


@dataclass
class GivesBackFirst:
    """Readings before each of which the process gives back what it holds."""

    tree: TreeSampler
    process: subprocess.Popen
    is_first: bool = True

    def read(self):
        if self.is_first:
            self.is_first = False
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "gone\n"
        return self.tree.read()


def data_bytes(pid):
    return field_bytes(Path(f"/proc/{pid}/status").read_bytes(), b"VmData:")


def test_memory_given_back_during_a_reading_is_not_allowed_twice():
    with subprocess.Popen(
        [sys.executable, "-c", GIVES_BACK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        before_bytes = data_bytes(process.pid)
        budget = RamBudget(limit_bytes=200 * MIB)
        with TreeSampler(process.pid, is_root_shared=True) as tree:
            sampler = GivesBackFirst(tree, process)
            watcher = Watcher(process.pid, budget, 0, tree, sampler, 1)
            watcher._take(Follow(most_bytes=10**12))
            watcher._watch.look(watcher._act)
            left_bytes = budget.limit_bytes - tree.read().ram_bytes
        limit, _ = resource.prlimit(process.pid, resource.RLIMIT_DATA)
        after_bytes = data_bytes(process.pid)
        process.communicate("end\n")
    assert abs(limit - left_bytes - after_bytes) < MIB
    assert before_bytes - after_bytes > (FREED_MIB - 2) * MIB

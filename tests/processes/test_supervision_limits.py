"""One allocation too many fails at its line, in the worker; what can be dropped does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.processes.lowmem_runs import attempts, incidents, job_file, run

pytestmark = [pytest.mark.process, pytest.mark.slow]


def test_a_job_may_catch_the_failure_of_an_allocation_and_go_on_with_less(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem, numpy as np, time
        @lowmem.job()
        def asks_first(ctx):
            yield lowmem.CommitPoint(items=1)
            time.sleep(0.3)
            try:
                held = np.ones(400 * 2**20, np.uint8)
            except MemoryError:
                held = np.ones(50 * 2**20, np.uint8)
            (ctx.staging / "size").write_text(str(held.size))
            return lowmem.Result(publish=["size"])
        """,
    )
    ended = run(job, tmp_path / "w", "--ram-budget", "320MiB", cycle_steps=1)
    assert ended.status == 0, ended
    assert (tmp_path / "w" / "size").read_text() == str(50 * 2**20)
    assert incidents(tmp_path / "w") == []


def test_memory_that_is_reserved_and_not_touched_fails_nothing(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem, mmap, time
        @lowmem.job()
        def reserves(ctx):
            yield lowmem.CommitPoint(items=1)
            held = []
            for _ in range(20):  # in all three times the budget
                held.append(mmap.mmap(-1, 50 * 2**20, flags=mmap.MAP_PRIVATE))
                time.sleep(0.12)
        """,
    )
    ended = run(job, tmp_path / "w", "--ram-budget", "320MiB", cycle_steps=1)
    assert ended.status == 0, ended
    assert incidents(tmp_path / "w") == []
    assert len(attempts(tmp_path / "w")) == 1


def test_no_limit_is_put_on_the_page_cache_that_a_job_may_fill(tmp_path):
    job = job_file(
        tmp_path,
        """
        import lowmem, pathlib
        @lowmem.job()
        def looks(ctx):
            groups = pathlib.Path("/proc/self/cgroup").read_text()
            (ctx.staging / "groups").write_text(groups)
            yield lowmem.CommitPoint(items=1)
            return lowmem.Result(publish=["groups"])
        """,
    )
    ended = run(job, tmp_path / "w", "--ram-budget", "320MiB", cycle_steps=1)
    assert ended.status == 0, ended
    # The limit of a control group of its own would count that as well.
    own = Path("/proc/self/cgroup").read_text()
    assert (tmp_path / "w" / "groups").read_text() == own

"""The task of a block under a budget: what is asked of it ends with the block."""

from __future__ import annotations

import asyncio
import sys

import pytest

from lowmem.inline.tasks import Host


async def left_before_the_loop_came_to_it(*, leaves: bool):
    host = Host.of(sys._getframe())
    host.cancel()
    if leaves:
        host.leave()
    await asyncio.sleep(0)
    return "went on"


def test_a_task_goes_on_after_a_block_that_ended_before_it_was_cancelled():
    assert asyncio.run(left_before_the_loop_came_to_it(leaves=True)) == "went on"
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(left_before_the_loop_came_to_it(leaves=False))

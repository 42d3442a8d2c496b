"""`lowmem run JOB --engine NAME`: the process that launches shards, see `handover`."""

from __future__ import annotations

import sys
from typing import NoReturn

import msgspec

from lowmem.base.clock import SystemClock
from lowmem.base.stop_signals import let_through
from lowmem.cli.boundary import leave_with
from lowmem.cli.handover import become
from lowmem.engines.chosen import make_engine
from lowmem.engines.engine import LaunchOrder
from lowmem.engines.launch import Launch


def become_launch(order: LaunchOrder) -> NoReturn:
    """Replace this process by one that launches shards, and only that."""
    become("lowmem.cli.launching", msgspec.json.encode(order))


def _run(descriptor: int) -> int:
    let_through()
    with open(descriptor, "rb") as stream:
        order = msgspec.json.decode(stream.read(), type=LaunchOrder)
    return Launch(order, make_engine, SystemClock()).to_the_end()


if __name__ == "__main__":
    leave_with(lambda: _run(int(sys.argv[1])))

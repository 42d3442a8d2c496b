"""The process that supervises the jobs of a line, see `handover`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from lowmem.base.config import read_config
from lowmem.base.stop_signals import let_through
from lowmem.base.workspace import Workspace
from lowmem.cli.boundary import leave_with
from lowmem.cli.handover import become
from lowmem.pipeline.compose import Orders
from lowmem.pipeline.execute import execute
from lowmem.pipeline.orders import RunOptions
from lowmem.supervisor.order import JobOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handover:
    workspace: str
    part: str
    jobs: Sequence[JobOrder]
    options: RunOptions
    began_s: float


def supervise(orders: Orders, space: Workspace) -> NoReturn:
    """Replace this process by one that runs ``orders``, and only that."""
    handover = _Handover(
        workspace=str(space.root),
        part=space.part,
        jobs=orders.jobs,
        options=orders.options,
        began_s=orders.began_s,
    )
    become("lowmem.cli.supervise", msgspec.json.encode(handover))


def _run(descriptor: int) -> None:
    let_through()
    with open(descriptor, "rb") as stream:
        handover = msgspec.json.decode(stream.read(), type=_Handover)
    space = Workspace.at(handover.workspace, handover.part)
    config = read_config(space.config)
    orders = Orders(
        jobs=handover.jobs,
        options=handover.options,
        config=config,
        began_s=handover.began_s,
    )
    execute(orders, space)


if __name__ == "__main__":
    leave_with(lambda: _run(int(sys.argv[1])))

"""The process that supervises, started by ``exec`` in place of the command line.

The command line's libraries take more memory than all the rest of the supervisor, and
memory of a Python process comes back only when it ends. So once a line is understood,
its process replaces itself: the same process id, terminal and descriptors, and 10 MiB
less for as long as the jobs run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import msgspec

from lowmem.base.config import read_config
from lowmem.base.signals import let_through, withhold
from lowmem.base.workspace import Workspace, require_text
from lowmem.cli.boundary import leave_with
from lowmem.pipeline.compose import Orders
from lowmem.pipeline.execute import execute
from lowmem.pipeline.orders import RunOptions
from lowmem.supervisor.order import JobOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handover:
    workspace: str
    jobs: Sequence[JobOrder]
    options: RunOptions
    began_s: float


def supervise(orders: Orders, space: Workspace) -> NoReturn:
    """Replace this process by one that runs ``orders``, and only that."""
    for word in sys.argv:
        require_text(word)
    handover = _Handover(
        workspace=str(space.root),
        jobs=orders.jobs,
        options=orders.options,
        began_s=orders.began_s,
    )
    # In memory, and inherited: the next program reads it from its start.
    descriptor = os.memfd_create("lowmem-orders", 0)
    with open(descriptor, "wb", closefd=False) as stream:
        stream.write(msgspec.json.encode(handover))
    os.lseek(descriptor, 0, os.SEEK_SET)
    sys.stdout.flush()
    sys.stderr.flush()
    line = [sys.executable, "-m", "lowmem.cli.supervise", str(descriptor)]
    # One that comes now is told to the new program, once that can take it.
    withhold()
    os.execv(sys.executable, line)  # noqa: S606 - no shell is the point


def _run(descriptor: int) -> None:
    let_through()
    with open(descriptor, "rb") as stream:
        handover = msgspec.json.decode(stream.read(), type=_Handover)
    space = Workspace.at(handover.workspace)
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

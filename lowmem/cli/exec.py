"""``lowmem exec``: any program under the budget."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import msgspec

from lowmem.base.stop_signals import let_through
from lowmem.base.workspace import Workspace
from lowmem.cli.boundary import leave_with
from lowmem.cli.handover import become
from lowmem.pipeline.exec_order import command_order, execute_command
from lowmem.pipeline.orders import RunOptions
from lowmem.supervisor.order import CommandOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class _Handover:
    workspace: str
    order: CommandOrder
    options: RunOptions


def execute(
    words: Sequence[str],
    space: Workspace,
    options: RunOptions,
    *,
    name: str | None,
    n_retries: int,
) -> NoReturn:
    """Replace this process by one that runs a command, and only that."""
    order, options = command_order(
        words,
        space,
        options,
        name=name,
        n_retries=n_retries,
        typed=tuple(sys.argv[1:]),
    )
    handover = _Handover(workspace=str(space.root), order=order, options=options)
    become("lowmem.cli.exec", msgspec.json.encode(handover))


def _run(descriptor: int) -> int:
    let_through()
    with open(descriptor, "rb") as stream:
        handover = msgspec.json.decode(stream.read(), type=_Handover)
    order = handover.order
    is_shown = sys.stderr.isatty() and not order.job.is_quiet
    return execute_command(
        replace(order, is_shown=is_shown),
        handover.options,
        Workspace.at(handover.workspace),
    )


if __name__ == "__main__":
    leave_with(lambda: _run(int(sys.argv[1])))

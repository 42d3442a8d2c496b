"""Carry out a line that runs a job: compose its orders, and become their supervisor."""

from __future__ import annotations

import sys

from lowmem.base.stderr import tell
from lowmem.cli.supervise import supervise
from lowmem.engines.engine_options import EngineOptions
from lowmem.mapping.naming import PREFIX
from lowmem.pipeline.compose import check_all, orders_of
from lowmem.pipeline.mirror import recover_first
from lowmem.pipeline.orders import RunOptions
from lowmem.pipeline.shard_orders import part_for
from lowmem.pipeline.spaces import own_space
from lowmem.protocol.job_names import require_there


def carry_out(
    name: str,
    workspace: str,
    options: RunOptions,
    engine: EngineOptions | None = None,
) -> None:
    """Run or continue a job; this process is replaced by its supervisor, or launcher."""
    space = own_space(workspace)
    _require_named(name, options)
    if engine is not None:
        # What launches is loaded where it is used.
        from lowmem.cli.launch_line import launch  # noqa: PLC0415

        launch(name, workspace, options, engine)
    if not options.quiet:
        # Whoever waits sees within a second that it works.
        tell(f"{name}: planning")
    if options.shard is None:
        recover_first(space, options)
    command = tuple(sys.argv[1:])
    orders = orders_of(name, space, options, command)
    check_all(orders, space)
    supervise(orders, part_for(orders.jobs[0], space))


def _require_named(name: str, options: RunOptions) -> None:
    """Refuse a job that nothing here has, before anything is said or brought back.

    What a merge, or a map's store, names is known from elsewhere.
    """
    if name != "all" and not options.is_merge and not name.startswith(PREFIX):
        require_there(name)

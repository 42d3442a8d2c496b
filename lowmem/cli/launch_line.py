"""From a line with ``--engine`` to a launch: checked, planned, handed over."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from typing import NoReturn

from lowmem.base.errors import BudgetError, UsageError
from lowmem.base.errors_engines import SmallShareError
from lowmem.base.stderr import tell
from lowmem.base.units import format_budget
from lowmem.base.workspace import Workspace
from lowmem.cli.launching import become_launch
from lowmem.engines.chosen import require_engine
from lowmem.engines.engine import LaunchOrder
from lowmem.engines.engine_options import (
    EngineOptions,
    own_bytes,
    shard_bytes,
    shard_words,
)
from lowmem.pipeline.compose import Orders, check_all, orders_of
from lowmem.pipeline.launch_orders import refuse_unfit, whole_budgets
from lowmem.pipeline.mirror import recover_first
from lowmem.pipeline.orders import RunOptions
from lowmem.pipeline.spaces import own_space
from lowmem.protocol.options import words_of
from lowmem.supervisor.order import JobOrder


def launch(
    name: str, workspace: str, options: RunOptions, engine: EngineOptions
) -> NoReturn:
    """Run all shards of a job on an engine; this process is replaced by its launcher.

    Raises
    ------
    LowmemError
        If it is refused; nothing is started then.
    """
    space = own_space(workspace)
    if options.shard is not None:
        raise UsageError(
            "--engine and --shard are given, expected one of them: an engine runs all "
            "shards, --shards of them."
        )
    if name == "all":
        raise UsageError(
            "--engine is given with `all`, expected one job: each waits for all shards of "
            "the one before."
        )
    require_engine(engine.engine)
    if not options.quiet:
        tell(f"{name}: planning")
    recover_first(space, options)
    budgets, is_given = whole_budgets(options, space)
    share = shard_bytes(engine, budgets.ram_bytes, is_given=is_given)
    command, n_shards = tuple(sys.argv[1:]), engine.n_shards
    try:
        orders = orders_of(name, space, _of_a_shard(options, engine, share), command)
        check_all(orders, space)
        order = orders.jobs[0]
        device = refuse_unfit(
            order,
            space,
            is_here=engine.is_here,
            is_replacing=options.restart,
            whole_bytes=lambda each: each * n_shards + own_bytes(engine),
        )
    except BudgetError as error:
        raise SmallShareError(
            n_shards=n_shards, share=format_budget(share), said=str(error)
        ) from error
    # Of one machine's GPU, too, each shard has a share.
    vram_bytes = order.vram_budget_bytes if device == "gpu" and engine.is_here else None
    become_launch(
        LaunchOrder(
            engine=engine.engine,
            job=order.name,
            workspace=str(space.root),
            n_shards=n_shards,
            shard_words=_words_of_shards(space, share, vram_bytes, engine, command),
            merge_words=_merge_words(order, orders, space, options, share),
            folder=os.getcwd(),  # noqa: PTH109 - words, for another process
            shard_ram_bytes=share,
            deadline=order.deadline,
            is_quiet=order.is_quiet,
            address=engine.address,
            engine_options=engine.more,
        )
    )


def _of_a_shard(options: RunOptions, engine: EngineOptions, share: int) -> RunOptions:
    """Return the options of one shard: a mirror and a restart are the merge's."""
    return replace(
        options,
        shard=f"0/{engine.n_shards}",
        ram_budget=f"{share}B",
        mirror=None,
        mirror_data=False,
        restart=False,
    )


def _words_of_shards(
    space: Workspace,
    share: int,
    vram_bytes: int | None,
    engine: EngineOptions,
    command: tuple[str, ...],
) -> tuple[str, ...]:
    own = ["--workspace", str(space.root), "--ram-budget", f"{share}B"]
    words = shard_words(command, own)
    if vram_bytes is not None:
        # The last of two counts.
        words += words_of("vram_budget", f"{vram_bytes // engine.n_shards}B")
    return tuple(words)


def _merge_words(
    order: JobOrder, orders: Orders, space: Workspace, options: RunOptions, share: int
) -> tuple[str, ...]:
    """Return the words of the merge, which has the budget of a shard."""
    words = ["merge", order.name, "--workspace", str(space.root)]
    words += ["--ram-budget", f"{share}B"]
    words += words_of("mirror", options.mirror)
    words += ["--mirror-data"] * options.mirror_data
    words += ["--restart"] * options.restart
    words += ["--quiet"] * bool(orders.options.quiet)
    return tuple(words)

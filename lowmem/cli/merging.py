"""`lowmem merge`: what the shards of a job made, put together."""

from __future__ import annotations

import typer

from lowmem.cli.carrying import carry_out
from lowmem.cli.command_options import (
    DEFAULT_WORKSPACE,
    OPEN,
    HelpOption,
    JobArgument,
    MirrorDataOption,
    MirrorOption,
    QuietOption,
    RamOption,
    RestartOption,
    SeedOption,
    SetOption,
    StepsOption,
    TimeOption,
    WorkspaceOption,
)
from lowmem.cli.help import job_help
from lowmem.pipeline.orders import RunOptions
from lowmem.pipeline.spaces import required_job


def add_to(app: typer.Typer) -> None:
    """Give the command line this command."""
    app.command(name="merge", context_settings=OPEN, add_help_option=False)(
        merge_command
    )


def merge_command(
    context: typer.Context,
    job: JobArgument = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    ram_budget: RamOption = None,
    time_budget: TimeOption = None,
    seed: SeedOption = None,
    cycle_steps: StepsOption = None,
    mirror: MirrorOption = None,
    mirror_data: MirrorDataOption = False,
    restart: RestartOption = False,
    set_: SetOption = None,
    quiet: QuietOption = False,
    show_help: HelpOption = False,
) -> None:
    """Publish what the shards of a job made, block by block."""
    if show_help:
        print(job_help(context, job))
        return
    options = RunOptions(
        ram_budget=ram_budget,
        time_budget=time_budget,
        seed=seed,
        cycle_steps=cycle_steps,
        mirror=mirror,
        mirror_data=mirror_data,
        restart=restart,
        quiet=quiet,
        is_merge=True,
        pins=set_ or (),
        extra=context.args,
    )
    carry_out(required_job(job), workspace, options)

"""The line of ``lowmem exec``."""

from __future__ import annotations

from typing import Annotated

import typer

from lowmem.cli.exec import execute
from lowmem.pipeline.mirror import recover_first
from lowmem.pipeline.orders import RunOptions
from lowmem.pipeline.spaces import own_space


def add_to(app: typer.Typer) -> None:
    """Give the command line this command."""
    app.command(
        name="exec",
        # The first word that is no option of ours begins the command.
        context_settings={"allow_interspersed_args": False},
        epilog="The program is told of its state folder, its budget and its attempt by "
        "its environment: docs/exec.md.",
    )(exec_command)


def exec_command(
    command: Annotated[
        list[str],
        typer.Argument(metavar="[--] COMMAND...", help="A program, and its words."),
    ],
    workspace: Annotated[
        str, typer.Option(metavar="DIR", help="Where its journal and state are kept.")
    ] = "lowmem-work",
    ram: Annotated[
        str | None,
        typer.Option(
            "--ram",
            "--ram-budget",
            metavar="SIZE",
            help="RAM of all its processes: 4G, 4GiB.",
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            "--time",
            "--time-budget",
            metavar="DURATION",
            help="Stop in time, resumable: 90m, 11h30m; auto: what SLURM leaves.",
        ),
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Keep every commit in a folder or store, too."
        ),
    ] = None,
    retries: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Start it again, up to N times, where it fails."
        ),
    ] = 0,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Its name in the workspace. Default exec-PROGRAM."
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Forget its state.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Print nothing but why it was stopped.")
    ] = False,
) -> None:
    """Run any program under the budget, and pass on its exit code."""
    space = own_space(workspace)
    options = RunOptions(
        ram_budget=ram, time_budget=time, mirror=mirror, restart=restart, quiet=quiet
    )
    recover_first(space, options)
    execute(command, space, options, name=name, n_retries=retries)

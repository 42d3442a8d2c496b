"""The options that several commands have, with their help."""

from __future__ import annotations

from typing import Annotated

import typer

from lowmem.cli.help import names_to_complete

DEFAULT_WORKSPACE = "lowmem-work"
# Of commands that take a job: its own options are not known here.
OPEN = {"allow_extra_args": True, "ignore_unknown_options": True}
WorkspaceOption = Annotated[
    str, typer.Option("--workspace", metavar="DIR", help="Folder of the experiment.")
]
WorkspaceArgument = Annotated[
    str, typer.Argument(metavar="[WORKSPACE]", help="Folder of the experiment.")
]
WorkspaceAsOption = Annotated[
    str | None, typer.Option("--workspace", metavar="DIR", help="The same folder.")
]
JobArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="JOB",
        help="A job's name, FILE.py, FILE.py:NAME, or `all`.",
        autocompletion=names_to_complete,
    ),
]
RamOption = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="RAM of the whole job: 10G, 10GiB."),
]
VramOption = Annotated[
    str | None, typer.Option(metavar="SIZE", help="GPU memory of the whole job.")
]
TimeOption = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION",
        help="Stop in time, resumable: 90m, 11h30m; auto: what SLURM leaves.",
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option(metavar="auto|cpu|gpu", help="Where to compute.")
]
SeedOption = Annotated[int | None, typer.Option(metavar="N", help="Seed. Default 1.")]
StepsOption = Annotated[
    int | None,
    typer.Option(metavar="N", help="Commit every N steps; else chosen by time."),
]
RecycleOption = Annotated[
    int | None, typer.Option(metavar="K", help="A fresh worker every K cycles.")
]
MirrorOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Keep every commit in a folder or store, too."),
]
MirrorDataOption = Annotated[
    bool, typer.Option("--mirror-data", help="Images and latents as well.")
]
RestartOption = Annotated[
    bool, typer.Option("--restart", help="Forget this job's progress.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Fix a setting or an option."),
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        metavar="I/N", help="Make one share of the blocks: 3/16; auto: SLURM's array."
    ),
]
LeaseOption = Annotated[
    str | None,
    typer.Option(
        metavar="DURATION", help="After it others may take a block over. Default 10m."
    ),
]
EngineOption = Annotated[
    str | None,
    typer.Option(
        metavar="local|dask|ray|slurm", help="Run all shards there, and merge them."
    ),
]
ShardsOption = Annotated[
    int | None, typer.Option(metavar="N", help="How many, with --engine.")
]
ShardRamOption = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="RAM of each; else a share of --ram-budget."),
]
EngineAddressOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Dask's or Ray's, which runs; else one is started here."
    ),
]
EngineOptionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--engine-option", metavar="NAME=VALUE", help="For sbatch: partition=short."
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print only problems.")]
HelpOption = Annotated[
    bool,
    typer.Option("--help", "-h", help="Show this and, after a JOB, its own options."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

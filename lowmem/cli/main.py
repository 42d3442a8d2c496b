"""The commands: each parses its line, calls one function and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import lowmem
from lowmem.base.clock import SystemClock
from lowmem.base.errors import EXIT_BUDGET, UsageError
from lowmem.base.stderr import tell, without_controls
from lowmem.cli import data, exec_line, init, new, usage
from lowmem.cli.boundary import leave_with, print_paragraph
from lowmem.cli.doctor import json_from_examination, text_from_examination
from lowmem.cli.help import job_help, jobs_list, names_to_complete
from lowmem.cli.mapping import map_command_of
from lowmem.cli.plan import json_from_plans, text_from_plans
from lowmem.cli.supervise import supervise
from lowmem.cli.verify import (
    damage_error,
    json_from_verification,
    text_from_verification,
)
from lowmem.cli.watch import status_json, status_text, watch
from lowmem.pipeline.compose import check_all, orders_of
from lowmem.pipeline.job_plans import plans_of, refuse_if_nothing_is_planned
from lowmem.pipeline.mirror import recover_first
from lowmem.pipeline.orders import RunOptions
from lowmem.pipeline.spaces import existing_space, own_space
from lowmem.places.examination import examine
from lowmem.repair.apply import Repair, repair
from lowmem.repair.mirror_check import remembered_mirror, verify_with
from lowmem.report.read import read_report
from lowmem.report.schema import json_from_report
from lowmem.report.text import text_from_report
from lowmem.supervisor import planner
from lowmem.supervisor.lock import is_held, refuse_if_held

DEFAULT_WORKSPACE = "lowmem-work"

app = typer.Typer(
    name="lowmem",
    help="Batch jobs inside a memory budget, resumable to the bit.",
    epilog="Begin with `lowmem doctor`, then `lowmem run all`. `lowmem run JOB --help` "
    "lists what a job takes.",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

_OPEN = {"allow_extra_args": True, "ignore_unknown_options": True}
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
        help="A job's name, a file FILE.py, or `all`.",
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
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print only problems.")]
HelpOption = Annotated[
    bool,
    typer.Option("--help", "-h", help="Show this and, after a JOB, its own options."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(lowmem.__version__)
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Batch jobs inside a memory budget, resumable to the bit."""
    # Whoever types the name alone asks what it is: no wrong usage.
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(name="run", context_settings=_OPEN, add_help_option=False)
def run_command(
    context: typer.Context,
    job: JobArgument = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    ram_budget: RamOption = None,
    vram_budget: VramOption = None,
    time_budget: TimeOption = None,
    device: DeviceOption = None,
    seed: SeedOption = None,
    cycle_steps: StepsOption = None,
    recycle_every: RecycleOption = None,
    mirror: MirrorOption = None,
    mirror_data: MirrorDataOption = False,
    restart: RestartOption = False,
    set_: SetOption = None,
    quiet: QuietOption = False,
    show_help: HelpOption = False,
) -> None:
    """Run a job, or continue it where it was cut."""
    if show_help:
        print(job_help(context, job))
        return
    space = own_space(workspace)
    name = _required(job)
    if not quiet:
        # Whoever waits sees within a second that it works.
        tell(f"{name}: planning")
    options = RunOptions(
        ram_budget=ram_budget,
        vram_budget=vram_budget,
        time_budget=time_budget,
        device=device,
        seed=seed,
        cycle_steps=cycle_steps,
        recycle_every=recycle_every,
        mirror=mirror,
        mirror_data=mirror_data,
        restart=restart,
        quiet=quiet,
        pins=set_ or (),
        extra=context.args,
    )
    recover_first(space, options)
    command = tuple(sys.argv[1:])
    orders = orders_of(name, space, options, command)
    check_all(orders, space)
    supervise(orders, space)


app.command(name="map", context_settings=_OPEN, add_help_option=False)(
    map_command_of(run_command)
)


@app.command(name="plan", context_settings=_OPEN, add_help_option=False)
def plan_command(
    context: typer.Context,
    job: JobArgument = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    ram_budget: RamOption = None,
    vram_budget: VramOption = None,
    device: DeviceOption = None,
    seed: SeedOption = None,
    set_: SetOption = None,
    as_json: JsonOption = False,
    show_help: HelpOption = False,
) -> None:
    """Predict what a job would need, and whether it fits."""
    if show_help:
        print(job_help(context, job))
        return
    space = own_space(workspace)
    options = RunOptions(
        ram_budget=ram_budget,
        vram_budget=vram_budget,
        device=device,
        seed=seed,
        pins=set_ or (),
        extra=context.args,
    )
    orders = orders_of(_required(job), space, options, is_timed=False)
    plans = plans_of(orders, space)
    print(json_from_plans(plans) if as_json else text_from_plans(plans))
    if not all(plan.fits for plan in plans):
        raise typer.Exit(EXIT_BUDGET)
    refuse_if_nothing_is_planned(plans)


def _required(job: str | None) -> str:
    if job is None:
        raise UsageError("no job is given, expected one. `lowmem jobs` lists them.")
    return job


@app.command(name="status")
def status_command(
    workspace: WorkspaceArgument = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
    as_option: WorkspaceAsOption = None,
) -> None:
    """Say where each job stands."""
    space = existing_space(as_option or workspace)
    as_text = status_json if as_json else status_text
    print(as_text(space, SystemClock()))


@app.command(name="watch")
def watch_command(
    workspace: WorkspaceArgument = DEFAULT_WORKSPACE,
    as_option: WorkspaceAsOption = None,
) -> None:
    """Follow a run from another terminal, until it ends."""
    watch(existing_space(as_option or workspace), SystemClock())


@app.command(name="report")
def report_command(
    workspace: WorkspaceArgument = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the report page here.")
    ] = None,
    every_cycle: Annotated[
        bool, typer.Option("--all", help="Show every cycle of long jobs.")
    ] = False,
    as_option: WorkspaceAsOption = None,
) -> None:
    """Show the memory of each cycle, what happened, and the results."""
    space = existing_space(as_option or workspace)
    if html is not None and as_json:
        raise UsageError("--html and --json are given, expected one of them.")
    if html is not None:
        if not html.absolute().parent.is_dir():
            raise UsageError(
                f"--html is {html}, expected a file in a folder that is there."
            )
        # Loads the template library, which no other command needs.
        from lowmem.report.write import write_page  # noqa: PLC0415

        now = SystemClock().now()
        print(write_page(space, is_live=is_held(space), now=now, target=html))
        return
    report = read_report(space, is_live=is_held(space))
    if as_json:
        print(json_from_report(report))
    else:
        print(without_controls(text_from_report(report, has_all_cycles=every_cycle)))


@app.command(name="verify")
def verify_command(
    workspace: WorkspaceArgument = DEFAULT_WORKSPACE,
    as_json: JsonOption = False,
    mend: Annotated[
        bool, typer.Option("--repair", help="Repair what can be repaired.")
    ] = False,
    mirror: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Its mirror, if not the remembered one."),
    ] = None,
    as_option: WorkspaceAsOption = None,
) -> None:
    """Check every checksum, here and in the mirror."""
    space = existing_space(as_option or workspace)
    refuse_if_held(space)
    url = mirror or remembered_mirror(space)
    found, told = repair(space, url) if mend else (verify_with(space, url), Repair())
    as_text = json_from_verification if as_json else text_from_verification
    print(without_controls(as_text(found, told)))
    if not found.is_whole:
        raise damage_error(found)


@app.command(name="jobs")
def jobs_command() -> None:
    """List the jobs that `run` knows."""
    print(jobs_list(planner.describe()))


@app.command(name="doctor")
def doctor_command(
    as_json: JsonOption = False,
) -> None:
    """Say what this machine has and what is wrong."""
    found = examine(Path.cwd())
    as_text = json_from_examination if as_json else text_from_examination
    print(as_text(found))


exec_line.add_to(app)
usage.add_to(app)
init.add_to(app)
app.add_typer(data.app, name="data")
app.add_typer(new.app, name="new")


def run() -> NoReturn:
    """Run the command line."""
    leave_with(_parse_and_run, _usage_error)


def _parse_and_run() -> object:
    try:
        return app(standalone_mode=False)
    except typer.Exit as end:
        return end.exit_code


def _usage_error(error: Exception) -> int:
    """Print what typer found wrong with the line; anything else is raised again."""
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        raise error
    print_paragraph(f"{format_message()} `lowmem --help` explains the commands.")
    return UsageError.exit_code

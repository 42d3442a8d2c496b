"""The commands: each parses its line, calls one function and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

import lowmem
from lowmem.base.clock import SystemClock
from lowmem.base.errors import EXIT_BUDGET, UsageError
from lowmem.base.stderr import columns_of, tell, without_controls
from lowmem.cli import data, exec_line, init, merging, new, usage
from lowmem.cli.boundary import leave_with, print_paragraph
from lowmem.cli.carrying import carry_out
from lowmem.cli.command_options import (
    DEFAULT_WORKSPACE,
    OPEN,
    DeviceOption,
    EngineAddressOption,
    EngineOption,
    EngineOptionsOption,
    HelpOption,
    JobArgument,
    JsonOption,
    LeaseOption,
    MirrorDataOption,
    MirrorOption,
    QuietOption,
    RamOption,
    RecycleOption,
    RestartOption,
    SeedOption,
    SetOption,
    ShardOption,
    ShardRamOption,
    ShardsOption,
    StepsOption,
    TimeOption,
    VramOption,
    WorkspaceArgument,
    WorkspaceAsOption,
    WorkspaceOption,
)
from lowmem.cli.doctor import json_from_examination, text_from_examination
from lowmem.cli.help import job_help, jobs_list, narrow_width
from lowmem.cli.mapping import map_command_of
from lowmem.cli.model_plan_text import (
    json_from_model_plan,
    refuse_options_of_jobs,
    text_from_model_plan,
)
from lowmem.cli.plan import json_from_plans, text_from_plans
from lowmem.cli.verify import (
    damage_error,
    json_from_verification,
    text_from_verification,
)
from lowmem.cli.watch import status_json, status_text, watch, whole_report
from lowmem.engines.engine_options import engine_options
from lowmem.pipeline.compose import orders_of
from lowmem.pipeline.job_plans import plans_of, refuse_if_nothing_is_planned
from lowmem.pipeline.model_plan import is_of_model, model_plan_of, trial_reference
from lowmem.pipeline.orders import RunOptions
from lowmem.pipeline.spaces import existing_space, own_space, required_job
from lowmem.places.examination import examine
from lowmem.repair.apply import Repair, repair
from lowmem.repair.mirror_check import remembered_mirror, verify_with
from lowmem.report.schema import json_from_report
from lowmem.report.shard_status import refuse_if_divided
from lowmem.report.text import WIDTH, text_from_report
from lowmem.report.unrecorded import told_of_unrecorded
from lowmem.supervisor import planner
from lowmem.supervisor.lock import is_held, refuse_if_held

app = typer.Typer(
    name="lowmem",
    help="Batch jobs inside a memory budget, resumable to the bit.",
    epilog="Begin with `lowmem doctor`, then `lowmem run all`. `lowmem run JOB --help` "
    "lists what a job takes.",
    invoke_without_command=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "terminal_width": narrow_width(),
    },
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


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


@app.command(name="run", context_settings=OPEN, add_help_option=False)
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
    shard: ShardOption = None,
    lease: LeaseOption = None,
    engine: EngineOption = None,
    shards: ShardsOption = None,
    shard_ram: ShardRamOption = None,
    engine_address: EngineAddressOption = None,
    engine_option: EngineOptionsOption = None,
    show_help: HelpOption = False,
) -> None:
    """Run a job, or continue it where it was cut."""
    if show_help:
        print(job_help(context, job))
        return
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
        shard=shard,
        lease=lease,
        pins=set_ or (),
        extra=context.args,
    )
    carry_out(
        required_job(job),
        workspace,
        options,
        engine_options(
            engine=engine,
            shards=shards,
            shard_ram=shard_ram,
            address=engine_address,
            more=engine_option or (),
        ),
    )


app.command(name="map", context_settings=OPEN, add_help_option=False)(
    map_command_of(run_command)
)


@app.command(
    name="plan",
    context_settings=OPEN,
    add_help_option=False,
    epilog="Without a JOB: the peak of a Keras model of your own, and its largest batch. "
    "`lowmem plan --model --help` lists the options of that.",
)
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
        print(job_help(context, trial_reference() if is_of_model(job) else job))
        return
    if is_of_model(job):
        refuse_options_of_jobs(context)
        words = [str(job), *context.args]
        of_model = model_plan_of(
            RunOptions(
                ram_budget=ram_budget,
                vram_budget=vram_budget,
                device=device,
                extra=words,
            )
        )
        as_text = json_from_model_plan if as_json else text_from_model_plan
        print(as_text(of_model))
        raise typer.Exit(0 if of_model.fits else EXIT_BUDGET)
    space = own_space(workspace)
    options = RunOptions(
        ram_budget=ram_budget,
        vram_budget=vram_budget,
        device=device,
        seed=seed,
        pins=set_ or (),
        extra=context.args,
    )
    orders = orders_of(required_job(job), space, options, is_timed=False)
    plans = plans_of(orders, space)
    print(json_from_plans(plans) if as_json else text_from_plans(plans))
    if not all(plan.fits for plan in plans):
        raise typer.Exit(EXIT_BUDGET)
    refuse_if_nothing_is_planned(plans)


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
        for job in whole_report(space, SystemClock()).shards:
            tell(f"the page shows nothing of {job} before its shards are merged")
        print(write_page(space, is_live=is_held(space), now=now, target=html))
        return
    report = whole_report(space, SystemClock())
    if as_json:
        print(json_from_report(report))
    else:
        text = text_from_report(
            report,
            has_all_cycles=every_cycle,
            unrecorded=told_of_unrecorded(space),
            width=columns_of(sys.stdout) or WIDTH,
        )
        print(without_controls(text))


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
    refuse_if_divided(space)
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
merging.add_to(app)
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
    # Some of the library's sentences have no end.
    said = format_message()
    end = "" if said.endswith((".", "?")) else "."
    print_paragraph(f"{said}{end} `lowmem --help` explains the commands.")
    return UsageError.exit_code

"""What a command orders: its jobs, one that they need, one that is made again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.config import Scalar, read_config
from lowmem.base.errors import DataError
from lowmem.base.stderr import tell
from lowmem.base.units import format_budget, format_bytes
from lowmem.memory.gpu import default_vram_budget_bytes
from lowmem.memory.machine import default_ram_budget_bytes, read_machine
from lowmem.pipeline.commands import derived_command, typed_value
from lowmem.pipeline.orders import (
    PIPELINE,
    GivenOptions,
    RunOptions,
    chosen_budgets,
    given_options,
    job_order,
    misspelt_tables,
    with_config,
)
from lowmem.pipeline.shard_orders import (
    begun_shards,
    divided_options,
    refuse_undivided,
    shard_of,
)
from lowmem.places.time_left import auto_budget, is_auto, read_time_left
from lowmem.supervisor import planner
from lowmem.supervisor.order import (
    JobOrder,
    chosen_device,
    is_inside,
    plan_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lowmem.base.workspace import Workspace
    from lowmem.history.job_history import DoneRun
    from lowmem.protocol.records import JobBegun
    from lowmem.protocol.told_jobs import JobDescription, PlannedNeed


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The jobs of one command, in order, and the means to order more.

    Attributes
    ----------
    config
        The tables of lowmem.toml.
    began_s
        Monotonic time of the command: the time budget of all its jobs begins here.
    """

    jobs: Sequence[JobOrder]
    options: RunOptions
    config: dict[str, dict[str, Scalar]]
    began_s: float


def orders_of(
    job: str,
    space: Workspace,
    options: RunOptions,
    command: tuple[str, ...] = (),
    *,
    is_timed: bool = True,
) -> Orders:
    """Return what a command line orders; nothing is written yet.

    Parameters
    ----------
    command
        The words after ``lowmem``, as they were typed.
    is_timed
        Whether it is to run now, so that what is left of a batch job matters. Else its
        orders are dry.

    Raises
    ------
    LowmemError
        If anything on the line or in lowmem.toml is wrong.
    """
    began_s = SystemClock().monotonic()
    config = read_config(space.config)
    refuse_undivided(job, options)
    options = divided_options(with_config(options, config.get("run", {})))
    if is_auto(options.time_budget):
        budget = _time_left(options, job) if is_timed else None
        options = replace(options, time_budget=budget)
    begun = begun_shards(space, job) if options.is_merge else None
    one = begun.reference if begun else job
    references = PIPELINE if job == "all" else (one,)
    budgets = chosen_budgets(
        options,
        default_ram_bytes=default_ram_budget_bytes(read_machine()),
        default_vram_bytes=None,
    )
    _say_if_machine_is_smaller(budgets.ram_bytes, options)
    descriptions = planner.describe(references, budget_bytes=budgets.ram_bytes)
    shard = shard_of(options, descriptions)
    given = all_given = given_options(options.extra, options.pins, descriptions)
    if options.is_merge:
        begun = begun or begun_shards(space, descriptions[0].name)
        options, all_given = _as_begun(begun, options, given, descriptions[0])
    for table, meant in misspelt_tables(config, [d.name for d in descriptions]):
        _say(
            f"{space.config}: [{table}] is no job, so it is ignored: [{meant}]?",
            options,
        )
    jobs = [
        _order(
            description,
            reference,
            options,
            all_given,
            config,
            began_s=began_s,
            is_pipeline=job == "all",
            command=command,
        )
        for description, reference in zip(descriptions, references, strict=True)
    ]
    jobs = [
        replace(order, typed=_typed(given, order), is_dry=not is_timed, shard=shard)
        for order in jobs
    ]
    return Orders(jobs=jobs, options=options, config=config, began_s=began_s)


def _as_begun(
    begun: JobBegun | None,
    options: RunOptions,
    given: GivenOptions,
    description: JobDescription,
) -> tuple[RunOptions, GivenOptions]:
    """Return what a merge is given, where its line does not say it as its shards did."""
    if begun is None:
        return options, given
    values = {**_own(begun.recipe, description), **given.values}
    seed = begun.recipe.get("seed")
    if options.seed is None and isinstance(seed, int):
        options = replace(options, seed=seed)
    return options, replace(given, values=values)


def _typed(given: GivenOptions, order: JobOrder) -> tuple[str, ...]:
    """Return which of a job's options the command line gives."""
    names = {name for job, name, _ in given.assignments if job in {None, order.name}}
    return tuple(sorted((names | set(given.values)) & set(order.options)))


def check_all(orders: Orders, space: Workspace) -> None:
    """Let what the last job would refuse be told before the first has begun.

    A single job is asked in any case before it begins, but what it needs might be made
    first; its settings are looked at here.

    Raises
    ------
    LowmemError
        If a job refuses its options; nothing is written yet.
    """
    if len(orders.jobs) > 1 or orders.jobs[0].pins:
        for order in orders.jobs:
            device = chosen_device(order.device, uses_device=order.uses_device)
            planner.plan(plan_request(order, space, device))


def _say_if_machine_is_smaller(budget_bytes: int, options: RunOptions) -> None:
    """Say that a budget is none here: the machine is full before it is used up."""
    total = read_machine().total_bytes
    if budget_bytes > total:
        _say(
            f"the RAM budget of {format_budget(budget_bytes)} is more than this machine's "
            f"{format_bytes(total)}: a job is stopped, resumable, before the machine is full",
            options,
        )


def _time_left(options: RunOptions, job: str) -> str | None:
    """Return what ``auto`` stands for, None for no limit, and say so."""
    left = read_time_left()
    budget, told = auto_budget(left, job)
    # A batch system that does not tell is a problem; elsewhere nothing else is meant.
    is_problem = left.job is not None and left.left_s is None
    if is_problem or not options.quiet:
        tell(told)
    return budget


def _order(
    description: JobDescription,
    reference: str,
    options: RunOptions,
    given: GivenOptions,
    config: dict[str, dict[str, Scalar]],
    *,
    began_s: float,
    is_pipeline: bool,
    command: tuple[str, ...],
) -> JobOrder:
    budgets = chosen_budgets(
        options,
        default_ram_bytes=default_ram_budget_bytes(read_machine()),
        default_vram_bytes=default_vram_budget_bytes(),
    )
    return job_order(
        description,
        reference=reference,
        options=options,
        budgets=budgets,
        given=given,
        config=config.get(description.name, {}),
        is_pipeline=is_pipeline,
        deadline=None if budgets.time_s is None else began_s + budgets.time_s,
        command=command,
    )


def order_of(
    run: DoneRun, space: Workspace, *, budget_bytes: int | None = None
) -> JobOrder:
    """Return the order that makes a run again as it was, from its recipe.

    Parameters
    ----------
    budget_bytes
        RAM that reading its file may take; what a run has by default where None.

    Raises
    ------
    DataError
        If the journal has lost how it was begun, or its file is not to be trusted: the
        journal and all that lies in the workspace may have come from a mirror.
    """
    if run.begun is None:
        raise DataError(
            thing="the journal",
            problem=f"no longer tells how {run.job} was begun",
            expected="its first record",
            todo=f"lowmem run {run.job} --restart makes it anew.",
        )
    if is_inside(run.begun.reference, space):
        raise DataError(
            thing=run.begun.reference,
            problem="is a job's file inside the workspace, where a mirror may have put it",
            expected="one outside, to be run without being asked",
            todo=f"lowmem run {run.begun.reference} --restart runs it.",
        )
    recipe = run.begun.recipe
    options = RunOptions(seed=int(str(recipe["seed"])), device=run.device, quiet=True)
    (description,) = planner.describe([run.begun.reference], budget_bytes=budget_bytes)
    values = _own(recipe, description)
    return _order(
        description,
        run.begun.reference,
        options,
        GivenOptions(values=values),
        {},
        began_s=SystemClock().monotonic(),
        is_pipeline=False,
        command=run.command
        or derived_command(
            run.begun.reference, values, options, table={}, workspace=str(space.root)
        ),
    )


def _say(text: str, options: RunOptions) -> None:
    if not options.quiet:
        tell(text)


def _own(
    recipe: Mapping[str, object], description: JobDescription
) -> dict[str, object]:
    """Return what a recipe says of the job's own options; it tells of inputs too.

    An option that is part of no recipe, such as the user's word for code, is not taken
    from one: a journal that came with a workspace may say anything.
    """
    named = {option.name for option in description.options if option.is_recipe}
    return {
        key: value
        for key, value in recipe.items()
        if key in named and value is not None
    }


def _as_said(options: RunOptions, order: JobOrder, orders: Orders) -> RunOptions:
    """Return the options with a time budget of ``auto`` as it was said, not as it is now."""
    table = {
        key.replace("-", "_"): v for key, v in orders.config.get("run", {}).items()
    }
    said = typed_value(order.command, "time_budget") or table.get("time_budget")
    if isinstance(said, str) and is_auto(said):
        return replace(options, time_budget=said)
    return options


def needed_order(
    need: PlannedNeed,
    order: JobOrder,
    orders: Orders,
    recorded: Mapping[str, object] | None,
    is_over: Callable[[], bool],
) -> JobOrder:
    """Return the order for a job that ``order`` cannot do without.

    Parameters
    ----------
    recorded
        What that job was last begun with, if it ever was: its results were lost, or
        stayed on another machine, and are to be made again as they were.
    """
    (description,) = planner.describe(
        [need.typed], budget_bytes=order.ram_budget_bytes, is_over=is_over
    )
    options: dict[str, object] = dict(need.options or {})
    run_options = orders.options
    if recorded is not None:
        seed = recorded.get("seed")
        run_options = replace(
            run_options, seed=seed if isinstance(seed, int) else run_options.seed
        )
        options = _own(recorded, description)
    if not order.is_quiet:
        words = [need.typed, *(f"--{key} {value}" for key, value in options.items())]
        lacking = f"no {Path(need.path).name}" if need.reference else "no data"
        tell(
            f"{order.name}: {lacking} in the workspace yet, so first: {' '.join(words)}"
        )
    needed = _order(
        description,
        need.typed,
        run_options,
        GivenOptions(values=options),
        orders.config,
        began_s=orders.began_s,
        is_pipeline=False,
        command=derived_command(
            need.typed,
            options,
            _as_said(run_options, order, orders),
            table=orders.config.get("run", {}),
            workspace=typed_value(order.command, "workspace"),
        ),
    )
    return replace(needed, is_restart=False)

"""Run what was ordered: the jobs in order, within one lock and one journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.config import Scalar, read_config
from lowmem.base.errors import DataError
from lowmem.base.stderr import tell
from lowmem.cli.commands import derived_command, typed_value
from lowmem.cli.mirror import mirror_plan, speaker, tell_results
from lowmem.cli.orders import (
    PIPELINE,
    GivenOptions,
    RunOptions,
    chosen_budgets,
    given_options,
    job_order,
    misspelt_tables,
    with_config,
)
from lowmem.cli.time_left import auto_budget, is_auto, read_time_left
from lowmem.history.makers import additions_to
from lowmem.memory.gpu import default_vram_budget_bytes
from lowmem.memory.machine import default_ram_budget_bytes, read_machine
from lowmem.memory.shared import SharedMemory
from lowmem.report.read import read_records
from lowmem.supervisor import ask
from lowmem.supervisor.adopt import adopt_orphans
from lowmem.supervisor.fragments import remove_fragments
from lowmem.supervisor.lock import WorkspaceLock
from lowmem.supervisor.mirroring import Mirror
from lowmem.supervisor.order import (
    JobOrder,
    chosen_device,
    is_inside,
    plan_request,
)
from lowmem.supervisor.programs import run_report
from lowmem.supervisor.run import RunNeeded, Session, run_job
from lowmem.supervisor.signals import StopRequests
from lowmem.supervisor.telemetry import Journal
from lowmem.supervisor.warden import Warden

if TYPE_CHECKING:
    from lowmem.base.workspace import Workspace
    from lowmem.history.past import DoneRun
    from lowmem.protocol.messages import JobDescription, PlannedNeed


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
        Whether it is to run now, so that what is left of a batch job matters.

    Raises
    ------
    LowmemError
        If anything on the line or in lowmem.toml is wrong.
    """
    began_s = SystemClock().monotonic()
    config = read_config(space.config)
    options = with_config(options, config.get("run", {}))
    if is_auto(options.time_budget):
        budget = _time_left(options, job) if is_timed else None
        options = replace(options, time_budget=budget)
    references = PIPELINE if job == "all" else (job,)
    budgets = chosen_budgets(
        options,
        default_ram_bytes=default_ram_budget_bytes(read_machine()),
        default_vram_bytes=None,
    )
    descriptions = ask.describe(references, budget_bytes=budgets.ram_bytes)
    given = given_options(options.extra, options.pins, descriptions)
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
            given,
            config,
            began_s=began_s,
            is_pipeline=job == "all",
            command=command,
        )
        for description, reference in zip(descriptions, references, strict=True)
    ]
    return Orders(jobs=jobs, options=options, config=config, began_s=began_s)


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


def order_of(run: DoneRun, space: Workspace) -> JobOrder:
    """Return the order that makes a run again as it was, from its recipe.

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
    (description,) = ask.describe([run.begun.reference])
    values = {name: value for name, value in recipe.items() if value is not None}
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


@contextmanager
def open_session(
    space: Workspace,
    lock: WorkspaceLock,
    options: RunOptions,
    deadline: float | None = None,
) -> Iterator[Session]:
    """Open what the jobs of one command share, in a workspace that is locked.

    Parameters
    ----------
    deadline
        Monotonic time at which the command's time budget ends; None for no limit.
    """
    clock = SystemClock()
    remove_fragments(space)
    with (
        Warden(),
        Journal(space, clock) as journal,
        StopRequests() as stops,
        Mirror(
            plan=mirror_plan(options),
            space=space,
            journal=journal,
            clock=clock,
            stops=stops,
            say=speaker(options),
            read_records=lambda: read_records(space.journal),
            deadline=deadline,
        ) as mirror,
    ):
        adopt_orphans()
        session = Session(
            space=space,
            clock=clock,
            journal=journal,
            stops=stops,
            lock_descriptor=lock.descriptor,
            shared=SharedMemory(),
            read_records=lambda: read_records(space.journal),
            mirror=mirror,
        )
        if mirror.plan is not None:
            tell_results(session)
        yield session


def execute(orders: Orders, space: Workspace) -> None:
    """Run the jobs in order; the first that does not end well ends it all.

    Raises
    ------
    LowmemError
        With the exit code of the command.
    """
    with (
        WorkspaceLock(space, SystemClock()) as lock,
        open_session(space, lock, orders.options, orders.jobs[0].deadline) as session,
    ):

        def run_needed(need: PlannedNeed, order: JobOrder) -> None:
            recorded = session.past().of(need.job).recipe
            needed = _needed_order(need, order, orders, recorded)
            _run_one(needed, session, run_needed)

        if len(orders.jobs) > 1:
            _check(orders.jobs, session)
        for order in orders.jobs:
            _run_one(order, session, run_needed)


def _check(orders: Sequence[JobOrder], session: Session) -> None:
    """Let the last job's senseless options be found before the first has begun."""
    for order in orders:
        device = chosen_device(order.device, uses_device=order.uses_device)
        request = plan_request(order, session.space, device)
        ask.plan(request, lambda: session.stops.count > 0)


def _run_one(order: JobOrder, session: Session, run_needed: RunNeeded) -> None:
    added = _lost_additions(order, session)
    _run_and_report(order, session, run_needed)
    for run in added:
        again = _within(order_of(run, session.space), order)
        if not order.is_quiet:
            words = f"{order.name}: what was added to it is lost too, so again"
            tell(f"{words}: {' '.join(again.command)}")
        _run_and_report(again, session, run_needed)


def _within(again: JobOrder, order: JobOrder) -> JobOrder:
    """Return an order within the budgets and the time of another."""
    return replace(
        again,
        ram_budget_bytes=order.ram_budget_bytes,
        vram_budget_bytes=order.vram_budget_bytes,
        time_budget_s=order.time_budget_s,
        deadline=order.deadline,
        cycle_steps=order.cycle_steps,
        recycle_every=order.recycle_every,
        is_quiet=order.is_quiet,
    )


def _run_and_report(order: JobOrder, session: Session, run_needed: RunNeeded) -> None:
    try:
        news = run_job(order, session, run_needed)
    finally:
        if not run_report(session.space.root, session.space.report):
            tell(f"{session.space.report} could not be written")
    if not order.is_quiet:
        tell(news)


def _lost_additions(order: JobOrder, session: Session) -> tuple[DoneRun, ...]:
    """Return what other jobs had added to results that this one has to make again."""
    if order.is_restart:
        return ()
    past = session.past()
    names = past.of(order.name).published
    lost = [name for name in names if not (session.space.root / name).exists()]
    return additions_to(order.name, lost, past, ask.adds_to_others(session.space))


def _needed_order(
    need: PlannedNeed,
    order: JobOrder,
    orders: Orders,
    recorded: Mapping[str, object] | None,
) -> JobOrder:
    """Return the order for a job that ``order`` cannot do without.

    Parameters
    ----------
    recorded
        What that job was last begun with, if it ever was: its results were lost, or
        stayed on another machine, and are to be made again as they were.
    """
    (description,) = ask.describe([need.job])
    options: dict[str, object] = dict(need.options or {})
    run_options = orders.options
    if recorded is not None:
        seed = recorded.get("seed")
        run_options = replace(
            run_options, seed=seed if isinstance(seed, int) else run_options.seed
        )
        named = {option.name for option in description.options}
        options = {
            key: value
            for key, value in recorded.items()
            if key in named and value is not None
        }
    if not order.is_quiet:
        words = [need.job, *(f"--{key} {value}" for key, value in options.items())]
        tell(f"{order.name}: no data in the workspace yet, so first: {' '.join(words)}")
    needed = _order(
        description,
        need.job,
        run_options,
        GivenOptions(values=options),
        orders.config,
        began_s=orders.began_s,
        is_pipeline=False,
        command=derived_command(
            need.job,
            options,
            run_options,
            table=orders.config.get("run", {}),
            workspace=typed_value(order.command, "workspace"),
        ),
    )
    return replace(needed, is_restart=False)

"""What ``lowmem exec`` orders: one command, composed from its line, and carried out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.config import read_config
from lowmem.base.errors import EXIT_STOPPED, OptionValueError
from lowmem.base.stderr import paragraph, tell
from lowmem.base.units import format_budget, format_measured, format_seconds
from lowmem.memory.machine import default_ram_budget_bytes, read_machine
from lowmem.pipeline.command_session import open_session
from lowmem.pipeline.orders import DEFAULT_SEED, RunOptions, chosen_budgets, with_config
from lowmem.places.time_left import auto_budget, is_auto, read_time_left
from lowmem.supervisor.lock import WorkspaceLock
from lowmem.supervisor.order import EXEC, MIRROR_BYTES, CommandOrder, JobOrder
from lowmem.supervisor.program_run import run_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.base.workspace import Workspace
    from lowmem.supervisor.program_process import Peak
    from lowmem.supervisor.program_run import CommandOutcome

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NO_NAME = re.compile(r"[^a-z0-9_-]+")


def job_name(program: str, given: str | None) -> str:
    """Return the name under which a command's state is kept.

    Raises
    ------
    OptionValueError
        If a given one is none.

    Examples
    --------
    >>> job_name("/usr/bin/python3.11", None), job_name("sort", "nightly")
    ('exec-python3-11', 'nightly')
    """
    if given is None:
        base = _NO_NAME.sub("-", PurePath(program).name.lower()).strip("-")
        return f"exec-{base}" if base else EXEC
    if not _NAME.fullmatch(given):
        raise OptionValueError(
            option="--name",
            value=given,
            expected="small letters, digits, - and _, beginning with one of the first two",
        )
    return given


def command_order(
    words: Sequence[str],
    space: Workspace,
    options: RunOptions,
    *,
    name: str | None,
    n_retries: int,
    typed: Sequence[str],
) -> tuple[CommandOrder, RunOptions]:
    """Return what a line orders, and its options with those of lowmem.toml.

    Parameters
    ----------
    typed
        The words after ``lowmem``, as they were typed.

    Raises
    ------
    LowmemError
        If anything on the line or in lowmem.toml is wrong.
    """
    began_s = SystemClock().monotonic()
    options = with_config(options, read_config(space.config).get("run", {}))
    job = job_name(words[0], name)
    if is_auto(options.time_budget):
        left = read_time_left()
        budget, told = auto_budget(left, job)
        options = replace(options, time_budget=budget)
        if not options.quiet or (left.job is not None and left.left_s is None):
            tell(told)
    budgets = chosen_budgets(
        options,
        default_ram_bytes=default_ram_budget_bytes(read_machine()),
        default_vram_bytes=None,
    )
    order = JobOrder(
        reference=EXEC,
        command=_without_restart(typed, n_words=len(words)),
        name=job,
        unit="items",
        options={},
        pins={},
        seed=DEFAULT_SEED,
        device="cpu",
        uses_device=False,
        ram_budget_bytes=budgets.ram_bytes,
        vram_budget_bytes=None,
        time_budget_s=budgets.time_s,
        deadline=None if budgets.time_s is None else began_s + budgets.time_s,
        cycle_steps=None,
        recycle_every=None,
        is_restart=options.restart,
        is_quiet=options.quiet,
        mirror_bytes=MIRROR_BYTES if options.mirror is not None else 0,
    )
    return CommandOrder(job=order, words=tuple(words), n_retries=n_retries), options


def _without_restart(typed: Sequence[str], *, n_words: int) -> tuple[str, ...]:
    """Return a line less its ``--restart``; the command's own words stay as they are."""
    own = len(typed) - n_words
    kept = [word for word in typed[:own] if word not in {"--restart", "--"}]
    return (*kept, "--", *typed[own:])


def execute_command(order: CommandOrder, options: RunOptions, space: Workspace) -> int:
    """Run a command to its end; return its exit code, or that of its stop.

    Raises
    ------
    LowmemError
        If it could not be run at all.
    """
    clock = SystemClock()
    began_s = clock.monotonic()
    with (
        WorkspaceLock(space, clock) as lock,
        open_session(space, lock, options, order.job.deadline) as session,
    ):
        outcome = run_command(order, session)
        took_s = clock.monotonic() - began_s
        is_kept = session.history().of(order.job.name).last_cycle >= 0
    where = str(space.root)
    for text in words_of_end(order.job, outcome, where=where, is_kept=is_kept):
        tell(paragraph(text))
    if outcome.end is not None and not order.job.is_quiet:
        for line in lines_of_cost(order.job, outcome, took_s=took_s):
            tell(line)
    return outcome.exit_code


def words_of_end(
    job: JobOrder, outcome: CommandOutcome, *, where: str, is_kept: bool
) -> list[str]:
    """Return what is told of how a command ended; nothing where it ended well.

    Parameters
    ----------
    is_kept
        Whether anything of its state was committed.

    Notes
    -----
    A stop is told in any case; a code of the command's own is its own to explain, so it is
    not told to whoever wants to hear problems alone.
    """
    end = outcome.end
    if end is None:
        told = f"{job.name} was done before in {where}; --restart runs it again."
        return [] if job.is_quiet else [told]
    if end.state in {"stopped", "refused"}:
        todo = _todo(end.exit_code, is_kept=is_kept)
        return [f"{job.name} was stopped: {end.message}. {todo}"]
    if end.state == "failed" and not job.is_quiet:
        return [f"{job.name}: {end.message}."]
    return []


def lines_of_cost(
    job: JobOrder, outcome: CommandOutcome, *, took_s: float
) -> list[str]:
    """Return what a command took: time, attempts, and its two peaks."""
    attempts = f", {outcome.n_attempts} attempts" if outcome.n_attempts > 1 else ""
    budget = format_budget(job.ram_budget_bytes)
    counted = f"peak {format_measured(outcome.ram_peak_bytes)} of {budget} counted"
    return [
        f"  exit     {outcome.exit_code}, took {format_seconds(took_s)}{attempts}",
        f"  RAM      {counted}; largest process {_peak(outcome.peak)} by the kernel",
    ]


def _todo(exit_code: int, *, is_kept: bool) -> str:
    again = (
        "the same command continues from what it committed."
        if is_kept
        else "it committed nothing, so the same command begins anew."
    )
    if exit_code == EXIT_STOPPED:
        return again[0].upper() + again[1:]
    return f"Give it a larger --ram, or less to do; {again}"


def _peak(peak: Peak | None) -> str:
    if peak is None:
        return format_measured(None)
    return f"{'at most ' if peak.is_bound else ''}{format_measured(peak.n_bytes)}"

"""The short form of a job: a decorated generator function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from lowmem.protocol.annotated import called_with, options_of
from lowmem.protocol.job import Job
from lowmem.protocol.needed_jobs import NeededJobs
from lowmem.protocol.option import Option
from lowmem.protocol.planning import Need, PlanContext, Settings, calibration_along
from lowmem.protocol.value_checks import LADDER, is_ladder, is_list, is_texts, require

_Asked = Callable[[PlanContext], Sequence[Need]]
Needs = Sequence[Job | str] | _Asked


def job(
    *,
    name: str | None = None,
    unit: str = "items",
    options: Iterable[Option] = (),
    settings: Sequence[Settings] = ({},),
    calibrate: str | None = None,
    version: int = 1,
    uses_device: bool | None = None,
    uses_keras: bool = False,
    needs: Needs = (),
    inputs: Iterable[str] | None = None,
    outputs: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], Job]:
    """Make a job of a generator function; the short form of `Job`.

    Parameters of the function after its first are options too: ``data: Path`` must be
    given, ``bins: Annotated[int, "of the histogram"] = 32`` has a default and a line of
    help. It is called with their values.

    Parameters
    ----------
    name
        Name of the job; the function's own where None.
    unit
        What its items are, in the plural.
    options
        Further options, read from the command line: in ``ctx.options``, as all are.
    settings
        Its ladder of memory settings, largest first.
    calibrate
        The setting that memory grows with in proportion: it is then measured by short
        trial runs at its smallest and its middle value.
    version
        Raise it when the same options give another result.
    uses_device
        Whether it computes on a GPU where there is one; None leaves it unsaid, see
        `Job`.
    uses_keras
        Whether it computes with Keras: refused where no backend is installed.
    needs
        Jobs whose results it needs: of the same file, by name or themselves, or the names
        of installed ones. One of the same file is run first, with its own options, where a
        result of it is missing. Or a function that returns what must exist first. What is
        needed is part of the recipe, as what path options name.
    inputs
        The path options whose files are read; all of them where None. Others are no part
        of the recipe's fingerprints: the job writes there.
    outputs
        Names in `Context.staging` that are published when the function returns nothing,
        or a result that names none; each must have been written.

    Raises
    ------
    TypeError
        If the function takes no context, or a parameter is of no kind that an option has.
    ValueError
        If ``inputs`` names no path option, or another value breaks its rule.
    """
    require("outputs", "a list of names", outputs, holds=is_texts(outputs))
    require("settings", LADDER, settings, holds=is_ladder(settings))
    further = tuple(options)
    calibration = None if calibrate is None else calibration_along(calibrate, settings)

    def decorate(function: Callable[..., Any]) -> Job:
        doc = (function.__doc__ or "").strip()
        own = options_of(function)
        return Job(
            name=name or function.__name__.replace("_", "-"),
            work=called_with(function, own) if own else function,
            summary=doc.splitlines()[0] if doc else "",
            unit=unit,
            options=_with_inputs((*own, *further), inputs),
            version=version,
            uses_device=uses_device,
            uses_keras=uses_keras,
            needs=_needs_of(needs),
            outputs=tuple(outputs),
            ladder=lambda _: settings,
            calibrate=lambda _: calibration,
        )

    return decorate


def _needs_of(needs: Needs) -> _Asked:
    """Return what tells the needs of a job, however they were given."""
    if callable(needs):
        return needs
    is_jobs = is_list(needs) and all(isinstance(one, Job | str) for one in needs)
    rule = "a list of jobs or of their names, or a function of the plan"
    require("needs", rule, needs, holds=is_jobs)
    return NeededJobs(jobs=tuple(needs)) if needs else lambda _: ()


def _with_inputs(
    options: tuple[Option, ...], inputs: Iterable[str] | None
) -> tuple[Option, ...]:
    """Return options of which those are inputs that are named; as they are, of None."""
    if inputs is None:
        return options
    require("inputs", "a list of names", inputs, holds=not isinstance(inputs, str))
    named = list(inputs)
    paths = [option.name for option in options if option.kind == "path"]
    rule = f"names of path options ({', '.join(paths) or 'it has none'})"
    require("inputs", rule, named, holds=set(named) <= set(paths))
    return tuple(
        replace(option, is_input=option.name in named)
        if option.kind == "path"
        else option
        for option in options
    )

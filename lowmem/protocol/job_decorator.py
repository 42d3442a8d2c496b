"""The short form of a job: a decorated generator function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from lowmem.protocol.annotated import called_with, options_of
from lowmem.protocol.job import Job
from lowmem.protocol.option import Option
from lowmem.protocol.planning import Need, PlanContext, Settings, calibration_along
from lowmem.protocol.value_checks import LADDER, is_ladder, require


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
    needs: Callable[[PlanContext], Sequence[Need]] = lambda _: (),
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
        Returns what must exist first; it is part of the recipe, as what path options name.

    Raises
    ------
    TypeError
        If the function takes no context, or a parameter is of no kind that an option has.
    """
    require("settings", LADDER, settings, holds=is_ladder(settings))
    calibration = None if calibrate is None else calibration_along(calibrate, settings)

    def decorate(function: Callable[..., Any]) -> Job:
        doc = (function.__doc__ or "").strip()
        own = options_of(function)
        return Job(
            name=name or function.__name__.replace("_", "-"),
            work=called_with(function, own) if own else function,
            summary=doc.splitlines()[0] if doc else "",
            unit=unit,
            options=(*own, *options),
            version=version,
            uses_device=uses_device,
            uses_keras=uses_keras,
            needs=needs,
            ladder=lambda _: settings,
            calibrate=lambda _: calibration,
        )

    return decorate

"""The short form of a job: a decorated generator function."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from lowmem.protocol.calibration import calibration_along
from lowmem.protocol.checks import LADDER, is_ladder, require
from lowmem.protocol.job import Job, Need, PlanContext, Settings, Work
from lowmem.protocol.option import Option


def job(
    *,
    name: str | None = None,
    unit: str = "items",
    options: Iterable[Option] = (),
    settings: Sequence[Settings] = ({},),
    calibrate: str | None = None,
    version: int = 1,
    uses_device: bool = True,
    uses_keras: bool = False,
    needs: Callable[[PlanContext], Sequence[Need]] = lambda _: (),
) -> Callable[[Work], Job]:
    """Make a job of a generator function; the short form of `Job`.

    Parameters
    ----------
    name
        Name of the job; the function's own where None.
    unit
        What its items are, in the plural.
    options
        Its options, read from the command line.
    settings
        Its ladder of memory settings, largest first.
    calibrate
        The setting that memory grows with in proportion: it is then measured by short
        trial runs at its smallest and its middle value.
    version
        Raise it when the same options give another result.
    uses_device
        Whether it computes on a GPU where there is one.
    uses_keras
        Whether it computes with Keras: refused where no backend is installed.
    needs
        Returns what must exist first; it is part of the recipe, as what path options name.
    """
    require("settings", LADDER, settings, holds=is_ladder(settings))
    calibration = None if calibrate is None else calibration_along(calibrate, settings)

    def decorate(work: Work) -> Job:
        doc = (work.__doc__ or "").strip()
        return Job(
            name=name or work.__name__.replace("_", "-"),
            work=work,
            summary=doc.splitlines()[0] if doc else "",
            unit=unit,
            options=tuple(options),
            version=version,
            uses_device=uses_device,
            uses_keras=uses_keras,
            needs=needs,
            ladder=lambda _: settings,
            calibrate=lambda _: calibration,
        )

    return decorate

"""How a job's memory is measured before it runs: short trial runs at small sizes.

The work of a job runs for a few commit points in a worker that is thrown away, once for
each trial, and its peak is read. What the peaks show beyond `Job.predict` is taken to
grow in proportion to some *terms* (a micro-batch, rows read at once), and so carried
over to the settings of the run. With one term, two trials fix the line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lowmem.protocol.checks import is_list, is_settings, require, whole

if TYPE_CHECKING:
    from lowmem.protocol.job import PlanContext, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One short run of the job, from its beginning, whose results are thrown away.

    Attributes
    ----------
    settings
        The memory settings to run with.
    options
        Options to change for it, such as a smaller batch.
    points
        Commit points after which its peak has been seen; the last one is committed.
    """

    settings: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    points: int = 4

    def __post_init__(self) -> None:
        rule = "names with whole numbers"
        require("settings", rule, self.settings, holds=is_settings(self.settings))
        require("points", ">= 1", self.points, holds=whole("points", self.points) >= 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The trials of a job, and what they say of other settings.

    Attributes
    ----------
    trials
        Smallest first: one more than there are terms, and none larger than needed.
    terms
        Returns, for options and settings, the numbers to which memory beyond
        `Job.predict` is proportional. A constant is always added.
    depends_on
        What memory depends on beside the settings: plain values by name, such as the
        shape of the data and of the model. A trial is remembered for as long as they,
        the device, the number of processors and the versions of the software are the
        same. None takes the whole recipe but the seed.
    is_compared
        Whether the states that trials of the same options commit after as many items are
        held against each other: where they differ, the first setting alone is used. Not
        for a job that tells itself what its settings change.
    """

    trials: Sequence[Trial]
    terms: Callable[[PlanContext, Settings], Sequence[float]]
    depends_on: Mapping[str, Any] | None = None
    is_compared: bool = False

    def __post_init__(self) -> None:
        is_trials = is_list(self.trials) and len(self.trials) > 0
        is_trials = is_trials and all(isinstance(one, Trial) for one in self.trials)
        require("trials", "lowmem.Trial(...)s", self.trials, holds=is_trials)


def calibration_along(name: str, ladder: Sequence[Settings]) -> Calibration | None:
    """Return trials at the smallest and at the middle value of one setting of a ladder.

    Two that lie close together would give a slope of little worth.

    None if the ladder has fewer than two values of it, so nothing to choose.

    Raises
    ------
    ValueError
        If not every rung has that setting.
    """
    is_known = all(name in settings for settings in ladder)
    require("calibrate", "a setting of every rung", name, holds=is_known)
    by_value = {settings[name]: settings for settings in ladder}
    values = sorted(by_value)
    if len(values) < 2:  # noqa: PLR2004 - two points make a line
        return None
    chosen = values[0], values[len(values) // 2]
    return Calibration(
        trials=[Trial(settings=by_value[value]) for value in chosen],
        terms=lambda _, settings: (float(settings[name]),),
        is_compared=True,
    )

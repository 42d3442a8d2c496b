"""What the description of a job is asked, and answers: memory, trial runs, what it needs.

The work of a job runs for a few commit points in a worker that is thrown away, once for
each trial, and its peak is read. What the peaks show beyond `Job.predict` is taken to
grow in proportion to some *terms* (a micro-batch, rows read at once), and so carried
over to the settings of the run. With one term, two trials fix the line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lowmem.base.workspace import Workspace
from lowmem.protocol.value_checks import is_list, is_settings, require, whole

Device = Literal["cpu", "gpu"]
Settings = Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanContext:
    """What is known before a job starts; given to the functions of its description.

    Attributes
    ----------
    workspace
        Where the job will run.
    options
        Every option of the job by name, read and with defaults filled in.
    seed
        Seed of the run.
    device
        Where it will run.
    ram_budget_bytes
        Memory that the whole job may use.
    backend
        What Keras will compute with; None where nothing is installed for it.
    typed
        The names of the options that this command line gives. Others come from
        lowmem.toml, the journal or defaults, and are no word of this user's.
    is_dry
        Whether the command only asks (``lowmem plan``), and begins no job.
    """

    workspace: Workspace
    options: Mapping[str, Any]
    seed: int
    device: Device
    ram_budget_bytes: int
    backend: str | None = None
    typed: tuple[str, ...] = ()
    is_dry: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One step of a job's ladder: memory settings and the peak they are predicted to need.

    Attributes
    ----------
    settings
        Numbers that trade memory for speed, and never change the result.
    ram_bytes
        Predicted peak of the worker, anonymous and shared memory; None if unknown.
    vram_bytes
        Predicted peak on the device; None if unknown.
    """

    settings: Mapping[str, int] = field(default_factory=dict)
    ram_bytes: int | None = None
    vram_bytes: int | None = None

    def __post_init__(self) -> None:
        rule = "names with whole numbers"
        require("settings", rule, self.settings, holds=is_settings(self.settings))
        for name in ("ram_bytes", "vram_bytes"):
            value = getattr(self, name)
            is_whole = value is None or type(value) is int
            require(name, "a whole number or None", value, holds=is_whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """An artefact that must exist before the job can start.

    Attributes
    ----------
    path
        Where it must be.
    job
        The job that makes it.
    reference
        What is typed after ``lowmem run`` for it, where that is not its name:
        ``clean.py``, ``jobs.py:clean``.
    options
        If given, the supervisor runs that job with these options when ``path`` is
        missing; otherwise the run is refused.
    """

    path: Path
    job: str
    reference: str = ""
    options: Mapping[str, str] | None = None


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

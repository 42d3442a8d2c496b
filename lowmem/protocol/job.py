"""What a job is: the public API that built-in jobs and users' own jobs are written in.

A job has two halves. The *description* (`Job`) is read by the planner, a process that
loads no array library: options, ladder of settings, predicted memory, what it needs. The
*work* is a generator function that runs in the worker. It yields a `CommitPoint`
wherever it may be cut, and returns a `Result`:

    def work(ctx):
        for block in blocks[ctx.state.get("done", 0):]:
            ...
            yield CommitPoint(items=len(block), state={"done": ...})
        return Result(publish=["out.npy"])

A yield is an *offer*. The worker commits there when a cycle is due, and otherwise lets
the generator go on at once, so a point may be offered after every step. When the job is
run again, the generator starts anew and finds the last committed `state` and `arrays`
in its context.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lowmem.protocol.commit_point import CommitPoint
from lowmem.protocol.context import Context
from lowmem.protocol.option import Option
from lowmem.protocol.planning import Calibration, Need, PlanContext, Rung, Settings
from lowmem.protocol.row_blocks import Blocks
from lowmem.protocol.value_checks import (
    RESERVED,
    is_list,
    is_texts,
    require,
)

# Of a job that adds to what is there: whether what its options ask for is in place.
Standing = Literal["", "open", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a job ends.

    Attributes
    ----------
    publish
        Names in `Context.staging`, files or folders, to be moved to the same names in
        the workspace; whole or not at all, and only once the job is complete.
    summary
        A few JSON values for the report.
    """

    publish: Sequence[str] = ()
    summary: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        is_names = is_list(self.publish)
        require("publish", "a list of names", self.publish, holds=is_names)
        is_mapping = isinstance(self.summary, Mapping)
        require("summary", "a mapping", self.summary, holds=is_mapping)


Work = Callable[[Context], Generator[CommitPoint, None, Result | None]]


# --- what a description answers where its author says nothing ------------------------


def nowhere(*_: object) -> None:
    """Tell that a job cannot go on at a row."""


def alone(_: object) -> Literal[""]:
    """Tell that only the recipe counts."""
    return ""


def unnamed(_: object) -> Mapping[str, str]:
    """Name no inputs: what options and needs name is taken."""
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The description of a job.

    Attributes
    ----------
    name
        What is typed after ``lowmem run``.
    summary
        One line for ``lowmem jobs``.
    work
        The generator function, or ``"package.module:function"``, imported only in the
        worker so that this description stays light.
    unit
        What its items are, in the plural.
    options
        Its options.
    version
        Raised whenever the same recipe gives another result.
    ladder
        Returns its memory settings, largest first; each is tried when the one before
        did not fit.
    predict
        Returns the rung of one set of settings with its predicted memory.
    calibrate
        Returns the short trial runs that measure what ``predict`` cannot know, if any.
    check
        Raises a `UsageError` for options that cannot be meant, before anything is made
        for the job.
    needs
        Returns what must exist first.
    inputs
        Returns the fingerprints of all that it reads, by name. A change of any between
        two runs is refused. By default what its path options and its needs name.
    outputs
        What it publishes, whatever its options: names as in `Result.publish`. A work that
        returns nothing, or a result without ``publish``, publishes these.
    resume_at
        Returns the state to go on at a row with nothing in staging; None: it cannot.
    standing
        Of a job that adds to what other runs made: ``open`` while what its options ask
        for is to be added, ``done`` once it is in place. A finished run is then
        followed by the next without ``--restart``. Empty: only the recipe counts.
    is_bare
        Whether its checkpoints are all that the work needs to go on.
    uses_device
        Whether it computes on a GPU where there is one. Of False it runs, and is
        reported, on the CPU, with every GPU hidden. None leaves it unsaid: a GPU is not
        hidden from it, and where there is none nobody says that it wanted one.
    uses_keras
        Whether it computes with Keras: without a backend it is refused at once.
    blocks
        Opens what makes any block of its result by itself, or
        ``"package.module:function"``: then several processes may share its blocks, see
        `RowBlocks`. None: it is run by one process.
    is_whole_for
        Why it has no ``blocks``, in words that follow "since".
    """

    name: str
    work: str | Work
    summary: str = ""
    unit: str = "items"
    options: tuple[Option, ...] = ()
    version: int = 1
    ladder: Callable[[PlanContext], Sequence[Settings]] = lambda _: ({},)
    predict: Callable[[PlanContext, Settings], Rung] = lambda _, settings: Rung(
        settings=settings
    )
    calibrate: Callable[[PlanContext], Calibration | None] = lambda _: None
    check: Callable[[PlanContext], None] = lambda _: None
    needs: Callable[[PlanContext], Sequence[Need]] = lambda _: ()
    inputs: Callable[[PlanContext], Mapping[str, str]] = unnamed
    outputs: tuple[str, ...] = ()
    resume_at: Callable[[PlanContext, int], Mapping[str, Any] | None] = nowhere
    standing: Callable[[PlanContext], Standing] = alone
    is_bare: bool = False
    uses_device: bool | None = None
    uses_keras: bool = False
    blocks: str | Blocks | None = None
    is_whole_for: str = "nothing says that its blocks can be made one without the other"

    def __post_init__(self) -> None:
        # It is typed, and names a folder.
        is_name = re.fullmatch(r"[a-z0-9][a-z0-9_-]*", str(self.name)) is not None
        rule = "lower-case letters, digits, _ and -"
        require("name", rule, self.name, holds=is_name)
        for name in ("summary", "unit"):
            value = getattr(self, name)
            require(name, "text", value, holds=isinstance(value, str))
        flags = {
            "uses_device": ("True, False or None", bool | None),
            "uses_keras": ("True or False", bool),
        }
        for name, (rule, kind) in flags.items():
            value = getattr(self, name)
            require(name, rule, value, holds=isinstance(value, kind))
        require("outputs", "names", self.outputs, holds=is_texts(self.outputs))
        is_options = all(isinstance(option, Option) for option in self.options)
        require("options", "lowmem.Option(...)s", self.options, holds=is_options)
        rule = "other names than those that every run has"
        taken = [option.name for option in self.options if option.name in RESERVED]
        require("options", rule, taken, holds=not taken)
        names = [option.name for option in self.options]
        is_once = len(set(names)) == len(names)
        require("options", "each name once", names, holds=is_once)

    @property
    def extents(self) -> tuple[str, ...]:
        """The options of which a finished run is continued by more.

        A bare job goes on from its last commit, so no state may depend on them; any
        other begins with `Context.former`.
        """
        return tuple(option.name for option in self.options if option.is_extent)

    @property
    def said_device_use(self) -> bool | None:
        """Whether it uses a GPU, as far as it says: what computes with Keras does."""
        return (
            True if self.uses_device is None and self.uses_keras else self.uses_device
        )

    @property
    def is_adding(self) -> bool:
        """Whether it adds to what other runs made: it has a ``standing``."""
        return self.standing is not alone

"""From options and lowmem.toml to orders for the supervisor; nothing is started here."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lowmem.base.errors import OptionValueError, UnknownOptionError, UsageError
from lowmem.base.suggestions import did_you_mean
from lowmem.base.units import budget_bytes_from_size, seconds_from_duration
from lowmem.protocol.option import Option
from lowmem.protocol.options import flag_of, resolve_options, value_of
from lowmem.protocol.told_jobs import JobDescription
from lowmem.supervisor.order import MIRROR_BYTES, JobOrder

PIPELINE = ("ingest", "train", "encode", "analyze", "generate")
DEFAULT_SEED = 1
# seconds; far more than a block takes, and little beside what a cluster's queue does.
DEFAULT_LEASE_S = 600
_LONGEST_LEASE_S = 30 * 86_400
# A signed word, as every generator of random numbers takes it.
_LARGEST_SEED = 2**63 - 1
# Those of `RunOptions` that lowmem.toml does not hold: they are of one command.
_OF_A_LINE = {"pins", "extra", "restart", "shard", "is_merge"}
# Those of `RunOptions` whose rule is not in a parser of their own.
_CHECKED = (
    Option(name="seed", kind="int", minimum=0),
    Option(name="cycle_steps", kind="int", minimum=1),
    Option(name="recycle_every", kind="int", minimum=1),
    Option(name="mirror", kind="str"),
    Option(name="mirror_data", kind="flag"),
    Option(name="quiet", kind="flag"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options that every run has; None where neither line nor file gives one."""

    ram_budget: str | None = None
    vram_budget: str | None = None
    time_budget: str | None = None
    device: str | None = None
    seed: int | None = None
    cycle_steps: int | None = None
    recycle_every: int | None = None
    mirror: str | None = None
    mirror_data: bool = False
    restart: bool = False
    quiet: bool = False
    shard: str | None = None
    lease: str | None = None
    is_merge: bool = False
    pins: Sequence[str] = ()
    extra: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBudgets:
    """Budgets in force, with the defaults of this machine filled in."""

    ram_bytes: int
    vram_bytes: int | None
    time_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenOptions:
    """Job options of one command line.

    Attributes
    ----------
    values
        Texts by option name, from ``--name value``.
    assignments
        (job or None, key, text), from ``--set``.
    """

    values: Mapping[str, object] = field(default_factory=dict)
    assignments: Sequence[tuple[str | None, str, str]] = ()


def with_config(options: RunOptions, table: Mapping[str, object]) -> RunOptions:
    """Return the options, checked, with those of ``[run]`` where the line gives none.

    Raises
    ------
    OptionValueError
        If the table has a key that no run has, or a value breaks its rule.
    """
    merged = {name: getattr(options, name) for name in RunOptions.__dataclass_fields__}
    configurable = [n for n in merged if n not in _OF_A_LINE]
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in configurable:
            raise OptionValueError(
                option="a key of [run] in lowmem.toml",
                value=key,
                expected=" or ".join(n.replace("_", "-") for n in configurable),
            )
        if merged[name] is None or merged[name] is False:
            merged[name] = value
    checked = {o.name: value_of(o, merged[o.name]) for o in _CHECKED}
    if (checked["seed"] or 0) > _LARGEST_SEED:
        raise OptionValueError(
            option="--seed", value=checked["seed"], expected=f"at most {_LARGEST_SEED}"
        )
    return RunOptions(**{**merged, **checked})


def chosen_budgets(
    options: RunOptions, *, default_ram_bytes: int, default_vram_bytes: int | None
) -> RunBudgets:
    """Return the budgets as numbers.

    Raises
    ------
    QuantityError
        If a size or a duration cannot be read.
    """
    return RunBudgets(
        ram_bytes=_size(options.ram_budget, default_ram_bytes) or default_ram_bytes,
        vram_bytes=_size(options.vram_budget, default_vram_bytes),
        time_s=(
            seconds_from_duration(str(options.time_budget))
            if options.time_budget is not None
            else None
        ),
    )


def _size(text: object, default: int | None) -> int | None:
    return default if text is None else budget_bytes_from_size(str(text))


def given_options(
    extra: Sequence[str], pins: Sequence[str], jobs: Sequence[JobDescription]
) -> GivenOptions:
    """Read the part of the line that only the jobs understand.

    Raises
    ------
    UnknownOptionError
        If none of the jobs has an option.
    OptionValueError
        If an option lacks its value, or ``--set`` is not KEY=VALUE.
    """
    is_pipeline = len(jobs) > 1
    kinds = {
        o.name: o.kind
        for job in jobs
        for o in job.options
        if o.is_shared or not is_pipeline
    }
    title, typed = ("all", "all") if is_pipeline else (jobs[0].name, jobs[0].typed)
    values: dict[str, object] = {}
    words = list(extra)
    while words:
        word = words.pop(0)
        name, equals, text = word.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        negated = name.removeprefix("no_")
        if not word.startswith("--"):
            raise UsageError(
                f"argument {word!r} stands alone, expected options such as --name value."
            )
        if kinds.get(name) == "flag":
            values[name] = text if equals else True
        elif kinds.get(negated) == "flag" and negated != name:
            values[negated] = False
        elif name not in kinds:
            raise _unknown(name, title, kinds, typed)
        else:
            if not equals and not words:
                raise OptionValueError(
                    option=flag_of(name), value="", expected="a value after it"
                )
            values[name] = text if equals else words.pop(0)
    assignments = [_assignment(pin) for pin in pins]
    _refuse_unknown(assignments, set(kinds), [job.name for job in jobs])
    return GivenOptions(values=values, assignments=assignments)


def _unknown(
    name: str, job: str, kinds: Iterable[str], typed: str
) -> UnknownOptionError:
    """Return what says that no job of the line has an option, and which was meant."""
    option = flag_of(name)
    shared = [flag_of(field) for field in RunOptions.__dataclass_fields__]
    flags = [flag_of(kind) for kind in kinds]
    return UnknownOptionError(
        option=option,
        job=job,
        known=flags,
        hint=did_you_mean(option, [*flags, *shared]),
        typed=typed,
    )


def _refuse_unknown(
    assignments: Iterable[tuple[str | None, str, str]],
    options: set[str],
    jobs: Sequence[str],
) -> None:
    """Refuse ``--set`` for a job that is not run, or for nobody knows which."""
    for job, name, _ in assignments:
        is_for_one = job in jobs or (job is None and len(jobs) == 1)
        if not is_for_one and not (job is None and name in options):
            raise UnknownOptionError(
                option=f"--set {job}.{name}" if job else f"--set {name}",
                job=jobs[0] if len(jobs) == 1 else "all",
                known=[f"{known}.KEY" for known in jobs],
            )


def _assignment(pin: str) -> tuple[str | None, str, str]:
    key, equals, text = pin.partition("=")
    if not (key and equals and text):
        raise OptionValueError(
            option="--set", value=pin, expected="KEY=VALUE or JOB.KEY=VALUE"
        )
    job, dot, name = key.partition(".")
    if not dot:
        job, name = "", key
    return (job or None, name.replace("-", "_"), text)


def job_order(
    description: JobDescription,
    *,
    reference: str,
    options: RunOptions,
    budgets: RunBudgets,
    given: GivenOptions,
    config: Mapping[str, object],
    is_pipeline: bool,
    deadline: float | None,
    command: tuple[str, ...] = (),
) -> JobOrder:
    """Return the order for one job.

    Parameters
    ----------
    config
        Its table in lowmem.toml.
    is_pipeline
        Whether it is one of several, which share the line's options.

    Raises
    ------
    UsageError
        If an option or its value is wrong.
    """
    declared = {option.name: option for option in description.options}
    texts = {key.replace("-", "_"): value for key, value in config.items()}
    texts |= {
        name: value
        for name, value in given.values.items()
        if name in declared and (declared[name].is_shared or not is_pipeline)
    }
    pins: dict[str, int] = {}
    for job, name, text in given.assignments:
        if job not in (None, description.name):
            continue
        if name in declared:
            texts[name] = text
        elif job is not None or not is_pipeline:
            pins[name] = _pin(name, text)
    return JobOrder(
        reference=reference,
        command=tuple(word for word in command if word != "--restart"),
        name=description.name,
        unit=description.unit,
        options=resolve_options(
            description.name, description.options, texts, typed=description.typed
        ),
        pins=pins,
        seed=DEFAULT_SEED if options.seed is None else options.seed,
        device=_device(options.device),
        uses_device=description.uses_device,
        ram_budget_bytes=budgets.ram_bytes,
        vram_budget_bytes=budgets.vram_bytes,
        time_budget_s=budgets.time_s,
        deadline=deadline,
        cycle_steps=options.cycle_steps,
        recycle_every=options.recycle_every,
        is_restart=options.restart,
        is_quiet=options.quiet,
        mirror_bytes=MIRROR_BYTES if options.mirror is not None else 0,
        lease_s=lease_s(options.lease),
        is_merge=options.is_merge,
    )


def lease_s(text: str | None) -> int:
    """Return the seconds of a lease, in words as they are typed or by default.

    Examples
    --------
    >>> lease_s(None), lease_s("90s")
    (600, 90)
    """
    if text is None:
        return DEFAULT_LEASE_S
    seconds = round(seconds_from_duration(str(text)))
    if not 1 <= seconds <= _LONGEST_LEASE_S:
        raise OptionValueError(
            option="--lease", value=text, expected="a duration from 1s to 30 days"
        )
    return seconds


def _pin(name: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise OptionValueError(
            option=f"--set {name}", value=text, expected="a whole number of at least 1"
        )
    return int(text)


def _device(text: str | None) -> Literal["auto", "cpu", "gpu"]:
    match text:
        case None | "auto":
            return "auto"
        case "cpu":
            return "cpu"
        case "gpu":
            return "gpu"
        case _:
            raise OptionValueError(
                option="--device", value=text, expected="auto, cpu or gpu"
            )


def misspelt_tables(
    config: Iterable[str], jobs: Iterable[str]
) -> list[tuple[str, str]]:
    """Return the tables of lowmem.toml that look like another name, and that name.

    A table may belong to a job that is not run now, so only what is nearly a known name
    is taken for a slip.
    """
    known = {"run", *PIPELINE, *jobs}
    slips = []
    for table in config:
        meant = difflib.get_close_matches(table, known, 1)
        if table not in known and meant:
            slips.append((table, meant[0]))
    return slips

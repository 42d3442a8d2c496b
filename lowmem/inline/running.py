"""`lowmem.run`: the command ``lowmem run`` from a program or a notebook.

It runs in processes of its own. What the job uses is no memory of the notebook, and a
kernel that ends takes no progress with it: the same call goes on.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, overload

from msgspec.structs import replace

from lowmem.base.child import ran, started
from lowmem.base.errors import EXIT_BUDGET, UsageError
from lowmem.base.errors_inline import RunEndedError
from lowmem.base.workspace import Workspace
from lowmem.inline.experiment import Experiment
from lowmem.inline.model_handover import KerasModel, named_model
from lowmem.inline.planned import Plan, plan_from_json
from lowmem.inline.planned_model import ModelPlan, model_plan_from_json
from lowmem.inline.terminal import show
from lowmem.protocol.options import flag_of, words_of
from lowmem.protocol.value_checks import is_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LOWMEM = (sys.executable, "-m", "lowmem")
# How the command begins what it says at its end.
_SAYS = "lowmem: "
_KEPT_BYTES = 2**16
# Parameters of `run` that `plan` does not have.
_OF_A_RUN = {
    "time", "cycle_steps", "recycle_every", "mirror", "mirror_data", "restart", "quiet"
}  # fmt: skip
# Options of the plan of a model.
_OF_A_MODEL = {"model", "batch_size", "predict", "input_shape"}


def run(
    job: object,
    *,
    workspace: str | Path = "lowmem-work",
    ram: str | None = None,
    vram: str | None = None,
    time: str | None = None,
    device: str | None = None,
    seed: int | None = None,
    cycle_steps: int | None = None,
    recycle_every: int | None = None,
    mirror: str | None = None,
    mirror_data: bool = False,
    restart: bool = False,
    quiet: bool = False,
    settings: Mapping[str, object] | None = None,
    **options: object,
) -> Experiment:
    """Run a job within its budget, or continue it; return what its workspace holds.

    Called again after any interruption, it goes on where the job was cut.

    Parameters
    ----------
    job
        A job's name, ``all``, or the file that defines it, ``jobs.py:clean`` where it defines
        several; a text or a path.
    workspace
        Folder of the experiment; it may be new.
    ram, vram
        Memory of the whole job: ``"10G"``, ``"10GiB"``.
    time
        Stop in time, resumable: ``"90m"``, ``"11h30m"``.
    device, seed, cycle_steps, recycle_every, mirror, mirror_data, restart
        As the options of the command.
    quiet
        Show nothing; the error of a job that fails says what happened.
    settings
        What ``--set`` fixes: memory settings, and job options whose names are taken by a
        parameter here.
    **options
        The job's own: ``epochs=3``, ``filters=[32, 64]``.

    Raises
    ------
    RunEndedError
        If the command ends with another exit code than 0, with that code.
    UsageError
        If ``job`` is neither: a process of its own finds a job by its name or file.
    """
    shared = {
        "ram_budget": ram,
        "vram_budget": vram,
        "time_budget": time,
        "device": device,
        "seed": seed,
        "cycle_steps": cycle_steps,
        "recycle_every": recycle_every,
        "mirror": None if mirror is None else str(mirror),
    }
    flags = {"mirror_data": mirror_data, "restart": restart, "quiet": quiet}
    line = [
        *_line("run", job, workspace, shared, settings or {}, options),
        *(flag_of(name) for name, is_given in flags.items() if is_given),
    ]
    status, said = _quietly(line) if quiet else (_shown(line), "")
    if status:
        said = said or ("It said nothing of why." if quiet else "")
        raise RunEndedError(command=f"lowmem run {job}", status=status, said=said)
    return Experiment(Workspace.at(workspace))


@overload
def plan(
    job: str | Path,
    *,
    workspace: str | Path = ...,
    ram: str | None = ...,
    vram: str | None = ...,
    device: str | None = ...,
    seed: int | None = ...,
    settings: Mapping[str, object] | None = ...,
    **options: object,
) -> Plan: ...


@overload
def plan(
    job: KerasModel | None = ...,
    *,
    model: KerasModel | str | Path | None = ...,
    batch_size: int = ...,
    predict: bool = ...,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = ...,
    ram: str | None = ...,
    vram: str | None = ...,
    device: str | None = ...,
) -> ModelPlan: ...


def plan(
    job: object = None,
    *,
    workspace: str | Path | None = None,
    ram: str | None = None,
    vram: str | None = None,
    device: str | None = None,
    seed: int | None = None,
    settings: Mapping[str, object] | None = None,
    **options: object,
) -> Plan | ModelPlan:
    """Predict what a job, or a Keras model, would need, as ``lowmem plan`` does.

    Nothing of a job is run. A model of the user's own is measured by trial runs of a few
    steps, each in a process of its own and within the budget.

    Parameters
    ----------
    job
        As of `run`. Or a compiled Keras model: then a `ModelPlan` comes back. It is
        handed to the trials as a ``.keras`` file, so its layers, losses and metrics must
        be Keras' own.
    workspace, seed, settings
        As of `run`; of a job alone.
    ram, vram, device
        As of `run`.
    **options
        Of a job, its own. Of a model: ``model``, where no ``job`` is given, a model,
        ``"FILE.keras"``, or ``"FILE.py:FUNCTION"``, which takes nothing and returns the
        model, with any code; ``batch_size`` (32); ``predict=True`` for inference;
        ``input_shape``, the sizes of a row, or a list of such, where the model leaves
        any open.

    Raises
    ------
    RunEndedError
        If the command ends with another exit code than 0, but for what does not fit.
    UsageError
        If it is neither a job nor a model.

    Notes
    -----
    A model costs five to eight trials, each of which loads the framework.
    """
    is_of_job = isinstance(job, str | Path)
    if job is None and "model" not in options:
        raise UsageError(
            "plan is given neither a job nor a model, expected a job's name or file, or "
            "model=: a Keras model, 'FILE.keras' or 'FILE.py:FUNCTION'."
        )
    if not is_of_job and (job is None or isinstance(job, KerasModel)):
        of_jobs = {"workspace": workspace, "seed": seed, "settings": settings}
        given = [name for name, value in of_jobs.items() if value is not None]
        if job is not None and "model" in options:
            given.append("a second model")
        if given:
            raise UsageError(
                f"{', '.join(given)} is given to the plan of a model, expected none: it "
                "has no workspace, no seed and no settings. Leave it out."
            )
        budgets = {"ram_budget": ram, "vram_budget": vram, "device": device}
        return _plan_of_model({"model": job, **options}, budgets)
    of_a_run = sorted(options.keys() & _OF_A_RUN)
    if of_a_run:
        raise UsageError(
            f"{', '.join(of_a_run)} is given to plan, which runs nothing. Leave it out; an "
            "option of the job of that name is given in settings."
        )
    shared = {"ram_budget": ram, "vram_budget": vram, "device": device, "seed": seed}
    where = "lowmem-work" if workspace is None else workspace
    line = _line("plan", job, where, shared, settings or {}, options)
    return plan_from_json(_planned(line, f"lowmem plan {job}"))


def _plan_of_model(
    options: Mapping[str, object], shared: Mapping[str, object]
) -> ModelPlan:
    unknown = sorted(options.keys() - _OF_A_MODEL)
    if unknown:
        raise UsageError(
            f"{', '.join(unknown)} is given to the plan of a model, expected "
            f"{', '.join(sorted(_OF_A_MODEL))}, ram, vram and device."
        )
    with named_model(options["model"]) as model:
        given = {**options, **shared, "model": model}
        given["input_shape"] = _shapes_text(options.get("input_shape"))
        words = [
            word
            for name, value in given.items()
            for word in words_of(name, _plain(name, value))
        ]
        printed = _planned([*_LOWMEM, "plan", *words], "lowmem plan --model")
    plan = model_plan_from_json(printed)
    # The file has gone by now.
    return replace(plan, model=getattr(options["model"], "name", plan.model))


def _shapes_text(shapes: object) -> str | None:
    """Return the sizes of a row, or of each of its inputs, as they are typed."""
    if shapes is None or isinstance(shapes, str):
        return shapes
    if not isinstance(shapes, Iterable):
        return str(shapes)
    each = [one if isinstance(one, Iterable) else None for one in shapes]
    if any(one is None for one in each):
        return ",".join(map(str, shapes))
    return ";".join(",".join(map(str, one)) for one in each if one is not None)


def _planned(line: Sequence[str], command: str) -> str:
    """Run a plan to its end, and return what it printed.

    Raises
    ------
    RunEndedError
        If it does not plan.
    """
    ended = ran([*line, "--json"])
    if ended.returncode not in {0, EXIT_BUDGET} or not ended.stdout.strip():
        _, _, said = ended.stderr.rpartition(_SAYS)
        raise RunEndedError(
            command=command, status=ended.returncode, said=" ".join(said.split())
        )
    return ended.stdout


def _line(
    command: str,
    job: object,
    workspace: str | Path,
    shared: Mapping[str, object],
    settings: Mapping[str, object],
    options: Mapping[str, object],
) -> list[str]:
    """Return a command line; options that are None are left out."""
    if not isinstance(job, str | Path):
        raise UsageError(
            f"job is a {type(job).__name__}, expected a job's name, or the file that "
            "defines it, such as 'job.py': it runs in a process of its own. In a "
            "notebook, write the cell to a file by `%%writefile job.py`."
        )
    given = {"workspace": str(Workspace.at(workspace).root), **shared, **options}
    plain = {name: _plain(name, value) for name, value in given.items()}
    fixed = {name: _plain(name, value) for name, value in settings.items()}
    return [
        *_LOWMEM,
        command,
        str(job),
        *(word for name, value in plain.items() for word in words_of(name, value)),
        *(
            f"--set={name}={','.join(map(str, value)) if is_list(value) else value}"
            for name, value in fixed.items()
            if value is not None
        ),
    ]


def _plain(name: str, value: object) -> object:
    """Return a value that a command line can hold, NumPy's as Python's own.

    Raises
    ------
    UsageError
        If it would come out as something else.
    """
    as_python = getattr(value, "tolist", None)
    found = as_python() if callable(as_python) else value
    items = found if is_list(found) else [found]
    is_plain = all(isinstance(one, bool | int | float | str | Path) for one in items)
    # A comma in one of several texts would make two of it.
    is_told = not is_list(found) or all(
        str(one) and "," not in str(one) for one in items
    )
    if found is not None and not (items and is_plain and is_told):
        raise UsageError(
            f"{name} is {value!r}, expected a number, a text, a path, True or False, or a "
            "list of these, not empty and without commas in its texts."
        )
    return found


def _shown(line: Sequence[str]) -> int:
    """Run a command that a person follows; return its exit code."""
    if not _is_terminal():
        return show(line)
    process = started(line, stdin=None, stdout=None, stderr=None, hears_stops=True)
    while True:
        # The terminal has sent its interrupt to the command too, which commits first.
        with contextlib.suppress(KeyboardInterrupt):
            return process.wait()


def _is_terminal() -> bool:
    """Return whether what is printed goes to a terminal as it is."""
    is_own = sys.stdout is sys.__stdout__ and sys.stderr is sys.__stderr__
    return is_own and sys.stdout.isatty() and sys.stderr.isatty()


class _Kept:
    """The end of what a command writes."""

    def __init__(self) -> None:
        self._end = b""

    def take(self, data: bytes) -> None:
        """Keep a part; more than a person would read is dropped."""
        self._end = (self._end + data)[-_KEPT_BYTES:]

    def close(self) -> None:
        """There is no more."""

    @property
    def said(self) -> str:
        """What the command says of its end, as one line."""
        _, _, said = self._end.decode(errors="replace").rpartition(_SAYS)
        return " ".join(said.split())


def _quietly(line: Sequence[str]) -> tuple[int, str]:
    """Run a command that shows nothing; return its exit code, and what it says of it."""
    kept = _Kept()
    return show(line, kept), kept.said

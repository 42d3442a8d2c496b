"""`lowmem.run`: the command ``lowmem run`` from a program or a notebook.

It runs in processes of its own. What the job uses is no memory of the notebook, and a
kernel that ends takes no progress with it: the same call goes on.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.child import ran, started
from lowmem.base.errors import EXIT_BUDGET, UsageError
from lowmem.base.errors_inline import RunEndedError
from lowmem.base.workspace import Workspace
from lowmem.inline.experiment import Experiment
from lowmem.inline.planned import Plan, plan_from_json
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


def plan(
    job: object,
    *,
    workspace: str | Path = "lowmem-work",
    ram: str | None = None,
    vram: str | None = None,
    device: str | None = None,
    seed: int | None = None,
    settings: Mapping[str, object] | None = None,
    **options: object,
) -> Plan:
    """Predict what a job would need, as ``lowmem plan`` does; run nothing of it.

    A model of the user's own is measured by trial runs of a few steps, within the budget.

    Parameters
    ----------
    job, workspace, ram, vram, device, seed, settings, **options
        As of `run`.

    Raises
    ------
    RunEndedError
        If the command ends with another exit code than 0, but for a job that does not fit.
    UsageError
        If ``job`` is neither a text nor a path.
    """
    of_a_run = sorted(options.keys() & _OF_A_RUN)
    if of_a_run:
        raise UsageError(
            f"{', '.join(of_a_run)} is given to plan, which runs nothing. Leave it out; an "
            "option of the job of that name is given in settings."
        )
    shared = {"ram_budget": ram, "vram_budget": vram, "device": device, "seed": seed}
    line = _line("plan", job, workspace, shared, settings or {}, options)
    ended = ran([*line, "--json"])
    if ended.returncode not in {0, EXIT_BUDGET} or not ended.stdout.strip():
        _, _, said = ended.stderr.rpartition(_SAYS)
        raise RunEndedError(
            command=f"lowmem plan {job}",
            status=ended.returncode,
            said=" ".join(said.split()),
        )
    return plan_from_json(ended.stdout)


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

"""Runs of a case by the real command, each in a folder of its own, and what they left."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem.base.child import ran
from lowmem.base.files import make_folder
from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from lowmem.testing.script import Kill, Script, Told
from lowmem.testing.stray_files import contents, strays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowmem.report.schema import JobReport
    from lowmem.testing.case import Case

# Run from the folder of the run, as a person would.
_FROM = 'cd "$1" && shift && exec "$@"'
_SUBJECT = '''"""The job under test."""
from lowmem.testing.subject import subject

JOB = subject({script!r})
'''
# How a command ends that is to be typed again: killed, or its workers died too often.
_KILLED, _DIED_TOO_OFTEN = -9, 70
# Characters shown of what a command printed.
_PRINTED = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run that ended well.

    Attributes
    ----------
    how
        How it was made, for messages.
    space
        Its workspace.
    told
        What the job under test told.
    stray
        Files that it wrote and was not to write.
    """

    how: str
    space: Workspace
    told: Told
    stray: Sequence[str]

    @property
    def job(self) -> str:
        """The job's name."""
        return str(self.told.all("job")[0]["name"])

    @property
    def is_map(self) -> bool:
        """Whether it maps a function of rows."""
        return bool(self.told.all("job")[0]["is_map"])

    @property
    def has_blocks(self) -> bool:
        """Whether it can be divided into shards."""
        return bool(self.told.all("job")[0]["has_blocks"])

    @property
    def ladder(self) -> list[dict[str, int]]:
        """Its memory settings, largest first."""
        rungs: list[dict[str, int]] = self.told.all("ladder")[-1]
        return rungs

    @property
    def report(self) -> JobReport:
        """What the journal tells of it."""
        return read_report(self.space, is_live=False).jobs[self.job]

    @property
    def n_commits(self) -> int:
        """Commits of the work; the one that says that all is done is no cut."""
        return len(self.report.committed) - 1


def _commands(n_shards: int) -> list[list[str]]:
    """Return the commands of a run, as far as they differ.

    Examples
    --------
    >>> _commands(2)[0]
    ['run', '--device', 'cpu', '--shard', '1/2']
    """
    run = ["run", "--device", "cpu"]
    shards = [[*run, "--shard", f"{n}/{n_shards}"] for n in reversed(range(n_shards))]
    return [*shards, ["merge"]] if shards else [run]


class Bench:
    """The runs of one case, below one folder."""

    def __init__(self, case: Case, root: Path) -> None:
        self.case = case
        self._root = root
        self._prepared = root / "prepared"
        make_folder(self._prepared)
        case.prepare(self._prepared)

    @cached_property
    def whole(self) -> Ran:
        """The run that is never cut, with a commit at each point."""
        return self.run("whole", "run unbroken")

    def run(
        self,
        name: str,
        how: str,
        *,
        check: str = "run",
        kills: tuple[Kill, ...] = (),
        cycle_steps: int = 1,
        words: Sequence[object] = (),
        is_another_day: bool = False,
        options: dict[str, object] | None = None,
        n_shards: int = 0,
    ) -> Ran:
        """Run the case to its end, again and again where the command itself is killed.

        Parameters
        ----------
        name
            Of its folder.
        how, check
            For the message of a run that fails: how it was made, and for which check.
        words
            Of the command, beside the job's options.
        options
            Of the job, that are others in this run.
        n_shards
            If given, that many shards make the blocks, the last of them first, and a
            merge puts them together.

        Raises
        ------
        CheckError
            If it does not end well.
        """
        folder = self._root / name
        here, space = folder / "here", Workspace.at(folder / "here" / "lowmem-work")
        shutil.copytree(self._prepared, space.root)
        script, file = folder / "script.json", folder / "subject.py"
        told = Told(folder / "told.jsonl")
        Script(
            reference=self.case.reference,
            told=str(folder / "told.jsonl"),
            workspace=str(space.root),
            kills=kills,
            is_another_day=is_another_day,
        ).write(script)
        file.write_text(_SUBJECT.format(script=str(script)), encoding="utf-8")
        lowmem = ("sh", "-c", _FROM, "sh", str(here), sys.executable, "-m", "lowmem")
        of_all = [
            *(str(file), "--workspace", str(space.root), "--quiet"),
            *("--seed", str(self.case.seed), "--cycle-steps", str(cycle_steps)),
            *(("--ram-budget", self.case.ram) if self.case.ram else ()),
            *self.case.words(**(options or {})),
            *map(str, words),
        ]
        before = contents([here])
        for command in _commands(n_shards):
            line = [*lowmem, *command, *of_all]
            self._to_the_end(line, told, len(kills), how, check)
        found = Ran(how=how, space=space, told=told, stray=())
        return self._with_strays(found, before, here)

    def _to_the_end(
        self, line: list[str], told: Told, n_kills: int, how: str, check: str
    ) -> None:
        n_killed = -1
        while True:
            try:
                ended = ran(line, timeout_s=self.case.patience_s)
            except TimeoutError as error:
                raise self.failure(
                    check, f"{how} did not end within {self.case.patience_s:.0f} s"
                ) from error
            if ended.returncode == 0:
                return
            former, n_killed = n_killed, len(told.all("killed"))
            is_ours = ended.returncode in {_KILLED, _DIED_TOO_OFTEN}
            # 70 is also that of a job that failed by itself: no kill was the last thing.
            if not (is_ours and former < n_killed <= n_kills and n_killed):
                raise self.failure(
                    check,
                    f"{how} ended with exit code {ended.returncode}: "
                    f"{ended.stderr.strip()[-_PRINTED:]}",
                )

    def _with_strays(self, run: Ran, before: dict[str, Any], here: Path) -> Ran:
        space, report = run.space, read_report(run.space, is_live=False)
        published = [
            space.root / name for job in report.jobs.values() for name in job.published
        ]
        own = [space.private, space.report, *published]
        allowed = [*own, *(Path(path) for path in self.case.may_write)]
        stray = strays(run.told.all("wrote"), before, contents([here]), allowed)
        return Ran(how=run.how, space=space, told=run.told, stray=stray)

    def failure(self, check: str, problem: str, todo: str = "") -> CheckError:
        """Return the error of a check."""
        job = Path(self.case.reference).name
        return CheckError(check=check, job=job, problem=problem, todo=todo)


class CheckError(AssertionError):
    """Raised by `lowmem.testing.check` for a job that breaks a promise.

    Not a `LowmemError`: it ends no command, and has no exit code.

    Attributes
    ----------
    check
        Name of the check, such as ``kills``.
    """

    def __init__(self, *, check: str, job: str, problem: str, todo: str) -> None:
        self.check = check
        super().__init__(f"{check}: {job} {problem.rstrip('.')}. {todo}".rstrip())

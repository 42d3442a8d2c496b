"""Every error lowmem raises on purpose, with its wording.

Each class takes the facts as keyword arguments and writes its own message, so the
wording of the whole package can be read, and tested, in one place. The exit codes are
those of the README.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

EXIT_DONE = 0
EXIT_USAGE = 2
EXIT_DATA = 65
EXIT_UNAVAILABLE = 69
EXIT_JOB = 70
EXIT_BUDGET = 73
EXIT_STORAGE = 74
EXIT_STOPPED = 75


class LowmemError(Exception):
    """Base of all errors lowmem raises on purpose.

    A notebook shows its sentence alone, which says what was found, where, and what to do:
    the frames would be lowmem's own.
    """

    exit_code: int = EXIT_JOB

    def _render_traceback_(self) -> list[str]:
        """Return what IPython prints in the place of a traceback."""
        return [f"lowmem: {self}"]


# --- wrong usage (2): the command line or the configuration -----------------------


class UsageError(LowmemError, ValueError):
    """Raised when what was asked for cannot be meant.

    It is *not* about the content of data files: see `DataError`.
    """

    exit_code = EXIT_USAGE


class QuantityError(UsageError):
    """Raised when a size or a duration cannot be read."""

    def __init__(self, *, text: str, expected: str) -> None:
        self.text = text
        super().__init__(f"{text!r} is not {expected}.")


class UnknownJobError(UsageError):
    """Raised when no job has the name that was given."""

    def __init__(self, *, name: str, known: Iterable[str], hint: str = "") -> None:
        self.name = name
        super().__init__(
            f"job {name!r} is unknown{hint}, expected one of "
            f"{', '.join(known)}, `all`, or a file: FILE.py, or FILE.py:NAME for one of "
            "its jobs. `lowmem jobs` lists them."
        )


class UnknownOptionError(UsageError):
    """Raised when a job does not have the option that was given."""

    def __init__(
        self,
        *,
        option: str,
        job: str,
        known: Iterable[str],
        hint: str = "",
        typed: str = "",
    ) -> None:
        self.option = option
        names = ", ".join(known)
        rule = f"one of {names}" if names else "none, for it takes none"
        super().__init__(
            f"option {option} is unknown to job {job}{hint}, expected {rule}. "
            f"`lowmem run {typed or job} --help` explains them."
        )


class OptionValueError(UsageError):
    """Raised when the value of an option is outside its rule."""

    def __init__(self, *, option: str, value: object, expected: str) -> None:
        self.option = option
        super().__init__(f"{option} is {value!r}, expected {expected}.")


class MissingOptionError(UsageError):
    """Raised when an option that must be given is not."""

    def __init__(
        self, *, option: str, job: str, expected: str, typed: str = ""
    ) -> None:
        self.option = option
        super().__init__(
            f"option {option} of job {job} is not given, expected {expected}. Add it; "
            f"`lowmem run {typed or job} --help` explains it."
        )


class ConfigError(UsageError):
    """Raised when lowmem.toml cannot be used."""

    def __init__(self, *, path: Path, problem: str, expected: str) -> None:
        super().__init__(f"{path} {problem}, expected {expected}.")


class WorkspaceLockedError(UsageError):
    """Raised when another live run holds the workspace."""

    def __init__(self, *, path: Path, pid: int | None) -> None:
        self.pid = pid
        holder = f"process {pid}" if pid else "another process"
        super().__init__(
            f"workspace {path} is in use by {holder}, expected no other run in it. "
            "Wait for that run, stop it, or give another --workspace."
        )


class ModelError(UsageError):
    """Raised when the Keras model that was given cannot serve."""

    def __init__(
        self, *, model: object, problem: str, expected: str, todo: str = ""
    ) -> None:
        tail = f" {todo}" if todo else ""
        super().__init__(f"model {model} {problem}, expected {expected}.{tail}")


# --- bad or corrupt data (65) -----------------------------------------------------


class DataError(LowmemError, ValueError):
    """Raised when input data are missing, unreadable or corrupt.

    Parameters
    ----------
    thing
        What is wrong: a path, a chunk, a row.
    problem
        How it is wrong, with the offending value.
    expected
        The rule that it breaks.
    todo
        What the user can do.
    """

    exit_code = EXIT_DATA

    def __init__(
        self, *, thing: object, problem: str, expected: str, todo: str = ""
    ) -> None:
        self.thing = thing
        tail = f" {todo}" if todo else ""
        super().__init__(f"{thing} {problem}, expected {expected}.{tail}")


class MissingArtefactError(DataError):
    """Raised when a job needs what another job has not made yet.

    Parameters
    ----------
    typed
        What is typed for that job, where it is not its name.
    """

    def __init__(self, *, path: Path, job: str, typed: str = "") -> None:
        super().__init__(
            thing=path,
            problem="is missing",
            expected=f"the output of job {job}",
            todo=f"Run `lowmem run {typed or job}` in this workspace first.",
        )


class CorruptFileError(DataError):
    """Raised when a file of the workspace does not match its checksum."""

    def __init__(self, *, path: Path, problem: str) -> None:
        super().__init__(
            thing=path,
            problem=problem,
            expected="what was written",
            todo="The disk or a copy damaged it: restore it. Else delete the "
            "workspace's .lowmem folder: that forgets progress and history, and keeps "
            "finished results.",
        )


class NewerFormatError(DataError):
    """Raised when a file was written in a format that came after this version."""

    def __init__(self, *, path: Path | str, found: int, known: int) -> None:
        super().__init__(
            thing=path,
            problem=f"is of format {found}",
            expected=f"format {known} or older, which this version of lowmem reads",
            todo="A newer lowmem wrote it: install that one (pip install --upgrade "
            "lowmem) and run the same command.",
        )


class DamagedWorkspaceError(DataError):
    """Raised when a verification has found damage."""

    def __init__(
        self, *, workspace: str, n_damaged: int, n_repairable: int, first: str
    ) -> None:
        things = "thing is" if n_damaged == 1 else "things are"
        how = "Restore the rest from a copy, or make it anew with --restart."
        if n_repairable:
            verb = f"`lowmem verify {workspace} --repair` can repair"
            how = f"{verb} {n_repairable} of them."
        super().__init__(
            thing=f"workspace {workspace}",
            problem=f"is damaged: {n_damaged} {things} not as written, first {first}",
            expected="every file as it was written",
            todo=how,
        )


# --- a demanded device or dependency is missing (69) ------------------------------


class MissingDeviceError(LowmemError, RuntimeError):
    """Raised when the demanded device is not there."""

    exit_code = EXIT_UNAVAILABLE

    def __init__(self, *, device: str, found: str) -> None:
        super().__init__(
            f"device {device} was demanded, found {found}. Use --device auto to take "
            "what is there, or --device cpu."
        )


class MissingDependencyError(LowmemError, ImportError):
    """Raised when a package that the job needs cannot be imported."""

    exit_code = EXIT_UNAVAILABLE

    def __init__(self, *, package: str, purpose: str) -> None:
        super().__init__(
            f"package {package} is not installed, expected it for {purpose}. "
            f"Install it: pip install {package}"
        )


# --- the job's own code (70) ------------------------------------------------------


class ReportedError(LowmemError, RuntimeError):
    """Raised by the supervisor for an error that a worker reported.

    Attributes
    ----------
    exit_code
        Of the original error.
    traceback
        Of the job's own code, if that failed; else empty.
    """

    def __init__(self, *, message: str, exit_code: int, traceback: str = "") -> None:
        self.exit_code = exit_code
        self.traceback = traceback
        super().__init__(message)


class DivergedError(LowmemError, ArithmeticError):
    """Raised when training has left the finite numbers."""

    exit_code = EXIT_JOB

    def __init__(self, *, epoch: int, batch: int) -> None:
        super().__init__(
            f"the loss is not finite at epoch {epoch}, batch {batch}, expected a number: "
            "training diverged. Begin again with a smaller --learning-rate and --restart."
        )


class JobDefinitionError(LowmemError, TypeError):
    """Raised when a job does not do what every job must; not about its options."""

    exit_code = EXIT_JOB

    def __init__(self, *, job: str, problem: str, expected: str) -> None:
        super().__init__(f"job {job} {problem}, expected {expected}.")


class StateError(LowmemError, TypeError):
    """Raised when a value of a job cannot be kept as JSON without changing."""

    exit_code = EXIT_JOB

    def __init__(self, *, place: str, key: object, value: str) -> None:
        super().__init__(
            f"{place}[{key!r}] is {value}, expected a value that JSON gives back the "
            "same: text, finite numbers of Python's own, booleans, None, and lists and "
            "mappings (with text keys) of these. Convert it, or keep it in arrays."
        )


class InternalError(LowmemError, RuntimeError):
    """Raised when lowmem itself is wrong. Never the user's fault."""

    exit_code = EXIT_JOB

    def __init__(self, *, problem: str) -> None:
        super().__init__(
            f"{problem}. This is a bug in lowmem: report it with .lowmem/journal.jsonl "
            "of the workspace."
        )

    def _render_traceback_(self) -> list[str]:  # type: ignore[explicit-override]
        """Return its frames too: who mends it needs them."""
        from traceback import format_exception  # noqa: PLC0415 - never in good order

        return "".join(format_exception(self)).splitlines()


# --- the budget (73) --------------------------------------------------------------


class BudgetError(LowmemError, MemoryError):
    """Raised when the budget cannot hold the job.

    Parameters
    ----------
    needed
        The smallest budget that would do, as far as it is known.
    note
        A sentence more, of what stands in the way of that.
    """

    exit_code = EXIT_BUDGET

    def __init__(
        self, *, job: str, budget: str, problem: str, needed: str, kind: str = "RAM",
        note: str = "",
    ) -> None:  # fmt: skip
        super().__init__(
            f"job {job} does not fit its {kind} budget of {budget}: {problem}. Raise "
            f"--{kind.lower()}-budget to {needed}, or choose options that need less "
            f"memory.{note and ' '}{note}"
        )


# --- storage (74) -----------------------------------------------------------------


class StorageError(LowmemError, OSError):
    """Raised when writing or reading the workspace's own disk fails."""

    exit_code = EXIT_STORAGE

    def __init__(self, *, path: object, problem: str) -> None:
        self.problem = problem
        # OSError's own initialiser would reinterpret two arguments as errno, text.
        super().__init__(
            f"{path} could not be written or read: {problem}. What was committed is "
            "intact: free some space or repair the disk, then run the same command."
        )


# --- stopped, resumable (75) ------------------------------------------------------


class StoppedError(LowmemError):
    """Raised when the run ended early on purpose and can be continued."""

    exit_code = EXIT_STOPPED

    def __init__(self, *, job: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"job {job} stopped: {reason}. What it has committed is kept; the same command "
            "continues it."
        )

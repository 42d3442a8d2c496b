"""Where everything lies in a workspace: paths only, nothing is opened here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lowmem.base.errors import UsageError


def path_from_text(text: Path | str) -> Path:
    """Return the absolute path that a user wrote, ``~`` and ``~name`` included.

    Raises
    ------
    UsageError
        If ``name`` is no user of this machine, or the locale cannot read the path.
    """
    require_text(str(text))
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise UsageError(
            f"{text} begins with the home of a user whom this machine does not know, "
            "expected the path of a file or folder."
        ) from error


def require_text(word: str) -> None:
    """Refuse bytes of the command line that the locale does not read as text.

    What crosses to another process, and what is kept, is text.

    Raises
    ------
    UsageError
        Showing them.
    """
    try:
        word.encode()
    except UnicodeEncodeError as error:
        shown = word.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise UsageError(
            f"{shown} holds bytes that are no text here, expected text. Set a locale that "
            "reads them, such as LC_ALL=C.UTF-8, or take another name."
        ) from error


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder of one experiment; all jobs read and write there.

    Attributes
    ----------
    root
        Absolute path of the folder.
    part
        Below `.lowmem`, where one of several supervisors keeps what is its own: journal,
        lock, checkpoints. Empty where there is one for the whole workspace.
    """

    root: Path
    part: str = ""

    @classmethod
    def at(cls, path: Path | str, part: str = "") -> Workspace:
        """Return the workspace at ``path``, which need not exist."""
        return cls(path_from_text(path), part)

    @property
    def whole(self) -> Workspace:
        """The same without a part: of all that work in it."""
        return Workspace(self.root)

    # Results, part of the contract.

    @property
    def images(self) -> Path:
        """Zarr group with the array ``images``."""
        return self.root / "images.zarr"

    @property
    def model(self) -> Path:
        """Folder of the trained models and their history."""
        return self.root / "model"

    @property
    def latents(self) -> Path:
        """Zarr group with the array ``z``."""
        return self.root / "latents.zarr"

    @property
    def analysis(self) -> Path:
        """Zarr group of the statistics."""
        return self.root / "analysis.zarr"

    @property
    def figures(self) -> Path:
        """Folder of ``summary.json`` and the figures."""
        return self.root / "analysis"

    @property
    def generated(self) -> Path:
        """Folder of drawn vectors and their images."""
        return self.root / "generated"

    @property
    def report(self) -> Path:
        """The report page."""
        return self.root / "report.html"

    @property
    def config(self) -> Path:
        """The user's configuration, which may be absent."""
        return self.root / "lowmem.toml"

    # Private to lowmem.

    @property
    def private(self) -> Path:
        """Folder of journal, checkpoints, telemetry and lock."""
        return self.root / ".lowmem" / self.part

    @property
    def journal(self) -> Path:
        """The journal of all runs."""
        return self.private / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """The lock of the one run that may write."""
        return self.private / "lock"

    @property
    def recovering(self) -> Path:
        """Folder in which what a mirror held waits to take its place."""
        return self.private / "recovering"

    @property
    def uploading(self) -> Path:
        """Names of the files in the mirror that were begun and are not finished."""
        return self.private / "uploading.json"

    @property
    def trials(self) -> Path:
        """Folder of the peaks that trial runs of jobs showed."""
        return self.private / "trials"

    @property
    def shards(self) -> Path:
        """Folder of what the shards of jobs share, and of their parts."""
        return self.root / ".lowmem" / "shards"

    def job(self, name: str) -> Path:
        """Return the private folder of one job."""
        return self.private / "jobs" / name

    def job_names(self) -> list[str]:
        """Return the jobs that keep anything here.

        Not trial runs: their folders have a dot in the name, which no job has.
        """
        folder = self.job("")
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(path.name for path in found if "." not in path.name)

    def staging(self, job: str) -> Path:
        """Return the folder where a job builds its results before they are published."""
        return self.job(job) / "staging"

    def checkpoints(self, job: str) -> Path:
        """Return the folder of a job's checkpoints."""
        return self.job(job) / "checkpoints"

    def telemetry(self, job: str) -> Path:
        """Return the file of a job's memory readings."""
        return self.job(job) / "telemetry.jsonl"

    def log(self, job: str) -> Path:
        """Return the file of what a job's workers printed."""
        return self.job(job) / "worker.log"

    def stacks(self, job: str) -> Path:
        """Return the file into which a worker writes every thread's stack."""
        return self.job(job) / "stacks.txt"

    def state(self, job: str) -> Path:
        """Return the folder in which a command keeps what it goes on from."""
        return self.job(job) / "state"

    def desk(self, job: str) -> Path:
        """Return the folder of the files by which a command and lowmem speak."""
        return self.job(job) / "desk"

"""What the author of a job gives to have it tested."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lowmem.base.units import bytes_from_size
from lowmem.protocol.job_reference import file_and_name
from lowmem.protocol.options import words_of

Prepare = Callable[[Path], object]


def _nothing(_: Path) -> None:
    """Leave a workspace empty."""


@dataclass(frozen=True, slots=True)
class Case:
    """A job with data that are small, and what it may use.

    Attributes
    ----------
    job
        What is typed after ``lowmem run``: a file, one job of a file, or the name of an
        installed job. A relative path is one of the current folder.
    folder
        Where the runs are made and left to be looked at; a temporary folder that is
        removed where None.
    options
        Of the job, by name. A `Path` is made absolute: each run has a current folder of
        its own.
    prepare
        Called once, with a folder: writes there what the job finds in its workspace.
    ram
        The RAM budget, such as ``200M``; the machine's where None.
    growth
        How much more memory the job may hold after its last cycle than after its first.
    seed
        Of the runs.
    is_random
        Whether another seed must give another result.
    may_write
        Files and folders outside the workspace that the job is meant to write.
    patience_s
        Seconds after which a run is taken to hang.

    Raises
    ------
    ValueError
        If a size cannot be read.
    """

    job: str | Path
    folder: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prepare: Prepare = _nothing
    ram: str | None = None
    growth: str = "1MiB"
    seed: int = 1
    is_random: bool = False
    may_write: Sequence[str | Path] = ()
    patience_s: float = 600.0

    def __post_init__(self) -> None:
        bytes_from_size(self.growth)
        if self.ram is not None:
            bytes_from_size(self.ram)

    @property
    def reference(self) -> str:
        """What names the job, from any folder."""
        text = str(self.job)
        return str(Path(text).absolute()) if file_and_name(text) else text

    def words(self, **changed: object) -> list[str]:
        """Return the job's options as they are typed.

        Parameters
        ----------
        changed
            Options that have another value in this run.
        """
        values = {**self.options, **changed}
        return [
            word
            for name, value in values.items()
            for word in words_of(
                name, value.absolute() if isinstance(value, Path) else value
            )
        ]

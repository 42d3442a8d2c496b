"""What a verification found, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

FindingKind = Literal[
    "journal", "checkpoint", "result", "chunk", "disagreement", "mirror"
]
Remedy = Literal["mend", "drop", "recompute", "rerun", "discard", "catch_up", "none"]

# How each remedy is told; `{job}` is the job that made the thing, `{typed}` what is typed
# for it.
_REMEDIES: dict[Remedy, str] = {
    "mend": "--repair repairs it",
    "drop": "--repair removes it: {job} continues from what is whole",
    "recompute": "--repair recomputes it",
    "rerun": "lowmem run {typed} --restart makes it anew",
    "discard": "--repair removes it: the next run with this mirror sends it again",
    "catch_up": "--repair, or the next run with this mirror, takes what is missing",
    "none": "restore it from a copy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it was written.

    Attributes
    ----------
    kind
        What sort of thing it is.
    path
        Of the file, relative to the workspace; in a mirror, of the archive there.
    problem
        What is wrong with it.
    job
        The job it belongs to; empty if unknown.
    typed
        What is typed for that job, where it is not its name.
    remedy
        What can be done about it.
    samples, first_row
        Which samples it held, where it is a chunk, and the first of them.
    """

    kind: FindingKind
    path: str
    problem: str
    job: str = ""
    typed: str = ""
    remedy: Remedy = "none"
    samples: str = ""
    first_row: int | None = None

    @property
    def can_be_repaired(self) -> bool:
        """Whether ``--repair`` may make it good."""
        return self.remedy not in {"rerun", "none"}

    @property
    def advice(self) -> str:
        """What can be done about it, in words."""
        job = self.job or "the job"
        return _REMEDIES[self.remedy].format(job=job, typed=self.typed or job)


@dataclass(slots=True, kw_only=True)
class Tally:
    """How much was looked at.

    Attributes
    ----------
    results, chunks
        Files of results, and how many of them are chunks with a checksum of their own.
    unrecorded
        Files of results that were only held against such checksums, or none, since
        nothing was recorded of them.
    """

    bytes: int = 0
    journal_lines: int = 0
    checkpoints: int = 0
    results: int = 0
    chunks: int = 0
    unrecorded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDurable:
    """How far a mirror has followed a job.

    Attributes
    ----------
    durable
        Committed cycles that the newest whole generation holds; 0 if there is none.
    committed
        Those of the workspace.
    has_results
        Whether it holds the results that were published, equal to the bit.
    """

    job: str
    durable: int
    committed: int
    has_results: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorRelation:
    """What a mirror holds of a workspace.

    Attributes
    ----------
    problem
        Why it could not be read; empty if it was.
    n_generations, n_whole
        Those of this workspace's lineage, and how many of them are whole.
    n_candidates
        Whole ones without a marker.
    n_others
        Generations of another machine, or of a lineage that went another way.
    n_ahead
        Those that go on where this workspace's journal ends.
    """

    url: str
    problem: str = ""
    n_generations: int = 0
    n_whole: int = 0
    n_candidates: int = 0
    n_others: int = 0
    n_ahead: int = 0
    jobs: tuple[JobDurable, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a verification looked at and found.

    Attributes
    ----------
    notes
        What is no damage but worth knowing.
    mirror
        How the mirror stands; None if none is known.
    """

    workspace: str
    tally: Tally
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = field(default=())
    mirror: MirrorRelation | None = None

    @property
    def is_whole(self) -> bool:
        """Whether everything is as it was written."""
        return not self.findings

"""What became of a case, and whether that is right."""

from __future__ import annotations

import csv
import re
import signal
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import zarr

from lowmem.base.errors import EXIT_DATA, LowmemError
from lowmem_jobs.ingest.job import JOB
from tests.corpus.cases.case import ANY, SIDE
from tests.driver import drive

# A picture takes milliseconds; all of them at once, on a machine that is busy, minutes.
_MOST_SECONDS = 1200
_FEW = {"decode_ahead": 1, "decode_processes": 1}


class Verdict(Enum):
    """Whether an outcome is right; the last two are faults."""

    RIGHT = "right"
    REFUSED = "refused rightly"
    TOLD = "refused, could be read"
    OTHERWISE = "refused, with another reason"
    WRONG = "SILENTLY WRONG"
    CRASHED = "CRASHED"

    @property
    def is_fault(self) -> bool:
        """Whether it may not be."""
        return self in {Verdict.WRONG, Verdict.CRASHED}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What an ingest left behind.

    Attributes
    ----------
    names, images, labels
        Of the stored rows; images of shape (n, side, side, 3).
    skipped
        What was left out and listed, with the reasons.
    refusal
        What was said where the source was refused as a whole.
    crash
        What else ended it.
    """

    names: list = field(default_factory=list)
    images: np.ndarray = field(default_factory=lambda: np.zeros((0, SIDE, SIDE, 3)))
    labels: list | None = None
    skipped: dict = field(default_factory=dict)
    refusal: str | None = None
    crash: str | None = None


class _TookTooLongError(Exception):
    """Raised where a case hangs."""


def run(case, folder):
    """Return what becomes of a case, by the functions of the job in this process."""
    source = case.make(folder)
    workspace = folder / "work"
    options = {"source": str(source), "size": SIDE, **case.options}

    def stop(*_):
        raise _TookTooLongError(f"took more than {_MOST_SECONDS} s")

    former = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_MOST_SECONDS)
    try:
        drive(JOB, workspace, options, settings=_FEW)
    except LowmemError as error:
        return refused(error.exit_code, str(error), workspace)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return Outcome(crash=f"{type(error).__name__}: {error}")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)
    return read_outcome(workspace)


def refused(code, words, workspace):
    """Return a refusal as an outcome: it has the code of bad data, and leaves no store."""
    if code != EXIT_DATA:
        return Outcome(crash=f"exit code {code}: {words}")
    if (workspace / "images.zarr").exists():
        return Outcome(crash=f"refused, and a store is there: {words}")
    return Outcome(refusal=words)


def read_outcome(workspace):
    """Return what lies in a workspace."""
    group = zarr.open_group(workspace / "images.zarr", mode="r")
    labels = None
    if "labels" in group:
        classes = group["labels"].attrs["class_names"]
        labels = [classes[number] for number in group["labels"][:]]
    with (workspace / "ingest-report.csv").open(newline="", encoding="utf-8") as lines:
        skipped = {
            line["name"]: line["reason"]
            for line in csv.DictReader(lines)
            if line["status"] != "stored"
        }
    return Outcome(
        names=[str(name) for name in group["names"][:]],
        images=group["images"][:].astype(float),
        labels=labels,
        skipped=skipped,
    )


def judged(right, outcome):
    """Return the verdict, and what is to be said of it."""
    if outcome.crash is not None:
        return Verdict.CRASHED, outcome.crash
    if outcome.refusal is not None:
        return _refusal(right, outcome.refusal)
    if right.rows is None:
        shown = ", ".join(map(str, outcome.names[:3]))
        return Verdict.WRONG, f"{len(outcome.names)} stored: {shown}"
    return _stored(right, outcome)


def _stored(right, outcome):
    """Return the worst of what is to be said of a store."""
    found = [
        *_rows(right, outcome),
        *_left_out(right, outcome),
        *_labels(right, outcome),
    ]
    order = list(Verdict)
    worst = max(found, key=lambda one: order.index(one[0]), default=None)
    if worst is not None and worst[0] not in {Verdict.RIGHT, Verdict.REFUSED}:
        return worst
    if right.skipped and len(right.rows) == 1:
        return Verdict.REFUSED, "; ".join(outcome.skipped.values())
    return Verdict.RIGHT, ""


def _refusal(right, words):
    if right.rows is not None:
        return Verdict.TOLD, words
    if not re.search(right.reason, words):
        return Verdict.OTHERWISE, words
    return Verdict.REFUSED, words


def _rows(right, outcome):
    """Yield what became of each row that must be stored, and of what else there is."""
    wanted = []
    for row in right.rows:
        if row.name in outcome.skipped and row.name not in outcome.names:
            yield Verdict.TOLD, outcome.skipped[row.name]
        else:
            wanted.append(row)
    names = [row.name for row in wanted]
    if len(names) != len(outcome.names):
        yield Verdict.WRONG, f"rows {outcome.names}, right {names}"
        return
    for number, row in enumerate(wanted):
        if row.name not in {None, outcome.names[number]}:
            yield (
                Verdict.WRONG,
                f"row {number} is {outcome.names[number]}, right {row.name}",
            )
            return
        far = np.nanmax(np.abs(outcome.images[number] - row.pixels), initial=0)
        if far > row.allowed:
            yield Verdict.WRONG, f"{outcome.names[number]}: off by {far:.0f} of 255"


def _left_out(right, outcome):
    stored = {row.name for row in right.rows}
    for name, reason in outcome.skipped.items():
        if name not in right.skipped and name not in stored:
            yield Verdict.WRONG, f"{name} is listed: {reason}"
    for name, pattern in right.skipped.items():
        if name not in outcome.skipped:
            yield Verdict.WRONG, f"{name} is not listed as left out"
        elif not re.search(pattern, outcome.skipped[name]):
            yield Verdict.OTHERWISE, outcome.skipped[name]
        else:
            yield Verdict.REFUSED, outcome.skipped[name]


def _labels(right, outcome):
    if right.labels is not ANY and len(right.rows) == len(outcome.names):
        wanted = None if right.labels is None else list(right.labels)
        if outcome.labels != wanted:
            yield Verdict.WRONG, f"labels {outcome.labels}, right {wanted}"

"""docs/formats/ describes what is really written, field by field."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from lowmem.base.workspace import Workspace
from lowmem.protocol.records import AnyRecord, Outcome, State, Verdict
from lowmem.report.readings import TelemetryReading
from lowmem.report.schema import (
    Budgets,
    ChangeReport,
    CycleReport,
    EventReport,
    JobReport,
    NoteReport,
    Report,
    ShardedJob,
    ShardStatus,
    WorkerReport,
)
from lowmem.report.status import JobStatus, NowStatus

PAGES = Path(__file__).parents[2] / "docs" / "formats"
REPORT = (PAGES / "report.md").read_text(encoding="utf-8")
WORKSPACE = (PAGES / "workspace.md").read_text(encoding="utf-8")
JOURNAL = (PAGES / "private.md").read_text(encoding="utf-8")
KINDS = (
    *(Report, JobReport, Budgets, CycleReport, EventReport),
    *(WorkerReport, ChangeReport, NoteReport, ShardedJob, ShardStatus),
)

OF_STATUS = (JobStatus, NowStatus)


def words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def rows_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("kind", [*KINDS, *OF_STATUS])
def test_every_field_of_the_report_is_described(kind):
    assert {field.name for field in fields(kind)} <= words_of(REPORT)


def test_no_field_is_described_that_is_not_in_the_report():
    kinds = (*KINDS, *OF_STATUS)
    known = {field.name for kind in kinds for field in fields(kind)}
    for row in rows_of(REPORT):
        named = re.findall(r"`([a-z_.]+)`", row.split("|")[1])
        assert {name.removeprefix("budgets.") for name in named} <= known, row


@pytest.mark.parametrize(
    "values", [State, Outcome, Verdict], ids=["state", "outcome", "verdict"]
)
def test_every_word_that_the_report_uses_is_described(values):
    assert set(get_args(values)) <= words_of(REPORT)


@pytest.mark.parametrize("kind", get_args(AnyRecord))
def test_every_record_of_the_journal_is_described(kind):
    (row,) = (row for row in rows_of(JOURNAL) if f"`{kind.__name__}`" in row)
    named = {field.name for field in msgspec.structs.fields(kind)} - {"job", "at"}
    if kind.__name__ == "CycleEnded":
        named = {name for name in named if not name.endswith("_bytes")}
    assert named <= words_of(row)


def test_every_field_of_the_telemetry_is_described():
    telemetry = JOURNAL.split("\n## Telemetry\n")[1].split("\n## ")[0]
    assert {field.name for field in fields(TelemetryReading)} <= words_of(telemetry)


def test_every_place_of_the_workspace_is_described():
    space = Workspace.at("/w")
    places = [
        *(space.images, space.latents, space.analysis, space.report, space.config),
        *(space.journal, space.lock, space.telemetry("JOB"), space.log("JOB")),
        *(space.stacks("JOB"), space.staging("JOB"), space.checkpoints("JOB")),
        *(space.model, space.figures, space.generated),
    ]
    for place in places:
        assert f"`{place.relative_to('/w')}" in WORKSPACE, place

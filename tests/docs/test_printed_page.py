"""docs/formats/printed.md names every field that a command prints as JSON, and no other."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import typer

from lowmem.base.backends import Backend
from lowmem.cli.doctor import json_from_examination
from lowmem.cli.main import app
from lowmem.cli.model_plan_text import json_from_model_plan
from lowmem.cli.plan import json_from_plans
from lowmem.cli.verify import json_from_verification
from lowmem.inline.planned_model import ModelPlan, model_plan_from_json
from lowmem.integrity.stores import ArraySummary, BadChunk, StoreCheck, StoreSummary
from lowmem.memory.programs import Program
from lowmem.pipeline.job_plans import JobPlan
from lowmem.pipeline.model_plan import ModelPlanning
from lowmem.places import place
from lowmem.places.disk_speed import DiskSpeed
from lowmem.places.examination import Examination, examine
from lowmem.protocol import messages
from lowmem.protocol.messages import PlannedRung
from lowmem.protocol.records import Machine
from lowmem.repair import findings
from lowmem.repair.apply import Repair
from lowmem.repair.findings import Finding, JobDurable, MirrorRelation, Tally
from lowmem.report.accounting import (
    Amounts,
    Ended,
    GpuOutcome,
    Sitting,
    Usage,
    UsageRow,
    json_from_usage,
)
from lowmem.report.view import report_from_records
from lowmem.supervisor.batch_search import BatchTrial, Outcome
from tests.report_examples import History

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "formats" / "printed.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"## `lowmem {title} --json`\n")[2].partition("\n## ")[0]


def table(title: str, *, head: str = "") -> str:
    """Return the first table below a title, or below a line in its section."""
    text = section(title).partition(f"{head}:\n\n" if head else "\n")[2]
    (found, *_) = re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)
    return found


def named(rows: str) -> set[str]:
    """Return the fields in the first column of a table."""
    cells = re.findall(r"^\| (`[^|]+) \|", rows, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def names_of(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}


def row(rows: str, name: str) -> str:
    (found,) = re.findall(rf"^\| `{name}` .*$", rows, re.MULTILINE)
    return found


def words_in(text: str) -> set[str]:
    return set(re.findall(r"`([\w]+)`", text))


@pytest.mark.parametrize(
    ("title", "head", "kind", "beside"),
    [
        ("doctor", "", Examination, {"schema"}),
        ("doctor", "A place", place.Place, set()),
        ("doctor", "A disk", DiskSpeed, set()),
        ("doctor", "A program", Program, set()),
        ("verify", "What was checked", Tally, set()),
        ("verify", "A finding", Finding, {"can_be_repaired"}),
        ("verify", "A mirror", MirrorRelation, set()),
        ("data info", "", StoreSummary, {"schema"}),
        ("data info", "An array", ArraySummary, set()),
        ("data verify", "", StoreCheck, {"schema", "is_whole"}),
        ("usage", "", Usage, {"schema", "workspaces", "since"}),
        ("usage", "A row", UsageRow, set()),
        ("usage", "never 0", Amounts, set()),
        ("usage", "A sitting", Sitting, set()),
    ],
)
def test_a_table_has_the_fields_of_what_is_printed(title, head, kind, beside):
    assert named(table(title, head=head)) == names_of(kind) | beside


@pytest.mark.parametrize(
    ("title", "head", "field", "kind"),
    [
        ("doctor", "A place", "limits", place.Limit),
        ("verify", "A mirror", "jobs", JobDurable),
        ("data verify", "", "bad", BadChunk),
    ],
)
def test_a_row_of_objects_names_their_fields(title, head, field, kind):
    assert names_of(kind) <= words_in(row(table(title, head=head), field))


@pytest.mark.parametrize(
    ("title", "head", "field", "values"),
    [
        ("doctor", "", "backend_said_by", get_type_hints(Backend)["said_by"]),
        ("doctor", "A place", "kind", place.PlaceKind),
        ("doctor", "A place", "limits", place.LimitSource),
        ("plan", "", "source", messages.PredictionSource),
        ("verify", "A finding", "kind", findings.FindingKind),
        ("verify", "A finding", "remedy", findings.Remedy),
        ("usage", "A sitting", "ended", Ended),
        ("usage", "A sitting", "gpu", GpuOutcome),
    ],
)
def test_a_row_of_words_tells_each(title, head, field, values):
    words = get_args(values)
    assert words
    assert set(words) <= words_in(row(table(title, head=head), field))


def test_the_plan_of_a_model_has_the_fields_that_are_told():
    trial = BatchTrial(
        batch_size=8,
        ram_peak_bytes=1,
        vram_peak_bytes=None,
        outcome="held",
        predicted_ram_bytes=None,
        seconds=1.0,
    )
    plan = ModelPlanning(
        model="x.keras",
        use="training",
        device="cpu",
        ram_budget_bytes=10**9,
        vram_budget_bytes=None,
        room_bytes=9 * 10**8,
        batch_size=8,
        trials=(trial,),
        seconds=1.0,
    )
    document = json.loads(json_from_model_plan(plan))
    assert set(document) == named(table("plan", head="A model's plan"))
    (printed,) = document["trials"]
    assert set(printed) == named(table("plan", head="A trial of a model"))
    assert set(get_args(Outcome)) <= words_in(
        row(table("plan", head="A trial of a model"), "outcome")
    )
    # From Python it is the same, but for the format's own number.
    read = model_plan_from_json(json.dumps(document))
    assert set(ModelPlan.__struct_fields__) == set(document) - {"schema"}
    assert (read.fits, read.largest_batch_size, read.prediction_error) == (
        True,
        8,
        None,
    )


def test_a_plan_has_the_fields_that_are_told():
    rung = PlannedRung(settings={"block": 1}, ram_bytes=1, vram_bytes=None)
    plan = JobPlan(
        job="x",
        device="cpu",
        ram_budget_bytes=10**9,
        rungs=(rung,),
        formula_bytes=(1,),
        chosen=0,
        missing={},
    )
    document = json.loads(json_from_plans([plan]))
    assert set(document) == {"schema", "plans"}
    assert document["schema"] == 1
    assert {"schema", "plans"} <= words_in(section("plan").partition("\n\n|")[0])
    (printed,) = document["plans"]
    assert named(table("plan")) == set(printed)
    (told,) = re.findall(
        r"^A rung has (.*?)\n\n", section("plan") + "\n\n", re.MULTILINE | re.DOTALL
    )
    assert words_in(told) == set(printed["ladder"][0])


def test_an_examination_has_the_fields_that_are_told():
    document = json.loads(json_from_examination(examine(ROOT)))
    assert named(table("doctor")) == set(document)
    assert document["schema"] == 1


def test_usage_has_the_fields_that_are_told():
    history = History().begin().run(machine=Machine(name="x")).start(0).end()
    report = report_from_records("/w", history.records, is_live=False)
    printed = json_from_usage(report.usage, ["/w"], None)
    document = json.loads(printed)
    assert named(table("usage")) == set(document)
    assert document["schema"] == 1
    assert named(table("usage", head="A row")) == set(document["total"])
    amounts = named(table("usage", head="never 0"))
    assert amounts == set(document["total"]["used"])
    (sitting,) = document["sittings"]
    assert named(table("usage", head="A sitting")) == set(sitting)
    told = words_in(row(table("usage", head="A sitting"), "machine"))
    assert set(sitting["machine"]) <= told


def test_a_verification_has_the_fields_that_are_told():
    found = findings.Verification(
        workspace="/w", tally=Tally(), findings=(), mirror=None
    )
    document = json.loads(json_from_verification(found, Repair()))
    assert named(table("verify")) == set(document)


def test_every_command_that_prints_json_is_on_a_page():
    def printing(command, path):
        for name, below in getattr(command, "commands", {}).items():
            words = [*path, name]
            if any("--json" in p.opts for p in below.params):
                yield " ".join(words)
            yield from printing(below, words)

    found = set(printing(typer.main.get_command(app), []))
    here = set(re.findall(r"^## `lowmem (.+) --json`$", PAGE, re.MULTILINE))
    assert here | {"report", "status"} == found


def test_a_field_that_is_not_told_is_noticed():
    rows = table("doctor").replace(row(table("doctor"), "gpu"), "")
    assert names_of(Examination) - named(rows) == {"gpu"}

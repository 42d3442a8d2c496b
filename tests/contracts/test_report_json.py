"""``lowmem report --json``, schema 1, field by field and independent of its classes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest

from lowmem.base.clock import SystemClock
from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from lowmem.report.schema import json_from_report
from lowmem.report.shard_status import in_the_making, read_sharded
from lowmem.report.status import text_from_statuses
from lowmem.report.text import text_from_report
from lowmem.shards.board import Board
from lowmem.shards.storage import Folder
from tests.report_examples import History, killed_and_retried, write_journal

STATES = {"done", "running", "stopped", "failed", "refused"}
OUTCOMES = {"committed", "interrupted", "rolled_back"}
VERDICTS = {
    *("ram_limit", "vram_limit", "machine_limit", "kernel_oom"),
    *("signal", "time", "crash", "error"),
}


def is_count(value):
    return type(value) is int and value >= 0


def is_number(value):
    return type(value) in {int, float} and value >= 0


def is_text(value):
    return type(value) is str


def is_time(value):
    return (
        is_text(value) and value.endswith("Z") and bool(datetime.fromisoformat(value))
    )


def one_of(values):
    return lambda value: is_text(value) and value in values


def maybe(rule):
    return lambda value: value is None or rule(value)


def table(rule):
    return lambda value: type(value) is dict and all(map(rule, value.values()))


def records(rules):
    return lambda value: type(value) is dict and not faults(value, rules)


def list_of(rule):
    return lambda value: type(value) is list and all(map(rule, value))


def faults(value, rules):
    """Return the fields that are missing, unknown or against their rule."""
    wrong = {
        name for name in rules if name not in value or not rules[name](value[name])
    }
    return wrong | (value.keys() - rules.keys())


CYCLE = {
    "index": is_count,
    "attempt": is_count,
    "outcome": one_of(OUTCOMES),
    "items": is_count,
    "unit": is_text,
    "started_at": is_time,
    "seconds": is_number,
    "commit_seconds": maybe(is_number),
    "ram_start_bytes": maybe(is_count),
    "ram_peak_bytes": maybe(is_count),
    "ram_end_bytes": maybe(is_count),
    "ram_returned_bytes": maybe(is_count),
    "ram_hwm_bytes": maybe(is_count),
    "vram_peak_bytes": maybe(is_count),
    "settings": table(lambda value: type(value) is int),
}
EVENT = {
    "at": is_time,
    "attempt": is_count,
    "verdict": one_of(VERDICTS),
    "ram_bytes": maybe(is_count),
    "vram_bytes": maybe(is_count),
    "signal": maybe(is_text),
    "where": maybe(is_text),
    "action": is_text,
}
NOTE = {"at": is_time, "attempt": is_count, "text": is_text}
WORKER = {
    "attempt": is_count,
    "at": is_time,
    "device": one_of({"cpu", "gpu"}),
    "device_name": maybe(is_text),
    "next_cycle": is_count,
}
CHANGE = {
    "cycle": is_count,
    "attempt": is_count,
    "items_before": is_count,
    "what": is_text,
}
BUDGETS = {
    "ram_bytes": maybe(is_count),
    "vram_bytes": maybe(is_count),
    "time_s": maybe(is_number),
}
JOB = {
    "state": one_of(STATES),
    "device": maybe(one_of({"cpu", "gpu"})),
    "seed": maybe(lambda value: type(value) is int),
    "budgets": records(BUDGETS),
    "ram_peak_bytes": maybe(is_count),
    "vram_peak_bytes": maybe(is_count),
    "attempts": is_count,
    "cycles": list_of(records(CYCLE)),
    "events": list_of(records(EVENT)),
    # Beyond the contract's first list.
    "reference": is_text,
    "command": list_of(is_text),
    "unit": is_text,
    "begun_at": is_time,
    "last_at": is_time,
    "exit_code": maybe(is_count),
    "message": is_text,
    "published": list_of(is_text),
    "summary": table(lambda _: True),
    "versions": table(is_text),
    "notes": list_of(records(NOTE)),
    "recipe": table(lambda _: True),
    "durable": maybe(is_count),
    "workers": list_of(records(WORKER)),
    "changes": list_of(records(CHANGE)),
}


USED = {
    "seconds": maybe(is_number),
    "gpu_seconds": maybe(is_number),
    "cpu_seconds": maybe(is_number),
    "read_bytes": maybe(is_count),
    "written_bytes": maybe(is_count),
    "disk_read_bytes": maybe(is_count),
    "disk_written_bytes": maybe(is_count),
}
USAGE_ROW = {
    "day": maybe(is_text),
    "workspace": maybe(is_text),
    "job": maybe(is_text),
    "n_sittings": is_count,
    "used": records(USED),
    "unrecorded": table(is_count),
}
SITTING = {
    "workspace": is_text,
    "job": is_text,
    "machine": maybe(lambda value: type(value) is dict),
    "began_at": is_time,
    "ended": one_of(
        {
            *("done", "running", "signal", "deadline", "stopped"),
            *("budget", "no_gpu", "failed", "lost"),
        }
    ),
    "exit_code": maybe(is_count),
    "signal": maybe(is_text),
    "gpu": maybe(one_of({"unasked", "given", "absent", "lost"})),
    "gpus": list_of(is_text),
    "used": records(USED),
}
USAGE = {
    "total": records(USAGE_ROW),
    "jobs": list_of(records(USAGE_ROW)),
    "days": list_of(records(USAGE_ROW)),
    "sittings": list_of(records(SITTING)),
}


SHARD = {
    "shard": is_text,
    "machine": is_text,
    "state": maybe(one_of(STATES)),
    "items": is_count,
    "unit": is_text,
    "attempts": is_count,
    "ram_peak_bytes": maybe(is_count),
    "last_at": is_time,
    "message": is_text,
}
SHARDED = {
    "blocks": maybe(is_count),
    "done": is_count,
    "claimed": is_count,
    "next_command": is_text,
    "shards": list_of(records(SHARD)),
}


def document_of(tmp_path, *histories: History):
    space = Workspace.at(tmp_path)
    write_journal(space, *histories)
    return json.loads(json_from_report(read_report(space, is_live=False)))


@pytest.mark.parametrize(
    "history",
    [
        killed_and_retried(),
        History().run().end("refused", 73, message="too large"),
        History().end("refused", 73),
        History().begin().run().start(0, device="gpu").cycle(0, vram_peak_bytes=7),
        History().begin().run().start(0).cycle(0).cycle(1).start(1).cut(1),
        History().begin().run().start(0).incident(verdict="crash", where=None),
    ],
)
def test_every_field_of_the_report_follows_schema_1(tmp_path, history):
    document = document_of(tmp_path, history)
    assert document.keys() == {"schema", "workspace", "jobs", "usage", "shards"}
    assert faults(document["usage"], USAGE) == set()
    assert document["schema"] == 1
    assert document["workspace"] == str(tmp_path)
    for job in document["jobs"].values():
        assert faults(job, JOB) == set()
        for cycle in job["cycles"]:
            assert faults(cycle, CYCLE) == set()


def test_the_rules_of_this_test_would_find_a_wrong_field(tmp_path):
    job = document_of(tmp_path, killed_and_retried())["jobs"]["train"]
    job["cycles"][0]["ram_peak_bytes"] = "7"
    del job["seed"]
    assert faults(job, JOB) == {"cycles", "seed"}


def test_what_was_not_measured_is_null_in_the_document(tmp_path):
    history = History().begin().run().start(0)
    unmeasured = {
        f"ram_{name}_bytes": None
        for name in ("start", "peak", "end", "returned", "hwm")
    }
    history.cycle(0, **unmeasured)
    job = document_of(tmp_path, history)["jobs"]["train"]
    assert job["ram_peak_bytes"] is None
    assert job["budgets"] == {"ram_bytes": 2**31, "vram_bytes": None, "time_s": None}
    for name in unmeasured:
        assert job["cycles"][0][name] is None


@pytest.mark.parametrize("kernel", ["here", "there"])
def test_shards_that_are_not_merged_follow_schema_1(tmp_path, kernel):
    space = Workspace.at(tmp_path)
    board = Board(Folder(space.shards / "encode" / "0123456789abcdef"), SystemClock())
    claims = [
        board.claim(block, n_blocks=3, number=1, lease_s=9, holder="a")
        for block in (0, 1)
    ]
    assert board.publish(claims[0], [b"rows"])
    history = History("encode").begin().run().start(0).cycle(0)
    part = replace(space, part=f"shards/encode/parts/0000of0002-node-7-{kernel}")
    write_journal(part, history)
    report = read_report(space, is_live=False)
    sharded = read_sharded(report, space, SystemClock(), lambda _: False, boot="here")
    report = replace(report, shards=sharded)
    document = json.loads(json_from_report(report))
    assert document["jobs"] == {}
    job = document["shards"]["encode"]
    assert faults(job, SHARDED) == set()
    assert (job["blocks"], job["done"], job["claimed"]) == (3, 1, 1)
    (shard,) = job["shards"]
    assert (shard["shard"], shard["machine"]) == ("0/2", "node-7")
    # Of another machine's shard that has not ended nobody can tell whether it lives.
    assert shard["state"] == ("stopped" if kernel == "here" else None)
    told = text_from_statuses(report)
    assert "encode in shards: 1 of 3 blocks done, 1 of the others begun" in told
    assert "Nothing has run here yet" not in told + text_from_report(report)
    assert "0/2" in text_from_report(report)


def test_shards_of_a_job_that_is_done_as_a_whole_are_not_told_of(tmp_path):
    space = Workspace.at(tmp_path)
    board = Board(Folder(space.shards / "encode" / "0123456789abcdef"), SystemClock())
    board.tell_recipe(b'{"seed": 1}')
    found = {}
    for seed in (1, 2):
        history = History("encode").begin(seed=seed).run().start(0).cycle(0).end("done")
        space.journal.unlink(missing_ok=True)
        write_journal(space, history)
        report = read_report(space, is_live=False)
        found[seed] = [job for job, _ in in_the_making(space, SystemClock(), report)]
    # Of another recipe they are to be seen: nothing has come of them.
    assert found == {1: [], 2: ["encode"]}


def test_an_empty_workspace_is_a_document_too(tmp_path):
    document = document_of(tmp_path)
    usage = document.pop("usage")
    assert document.pop("shards") == {}
    assert document == {"schema": 1, "workspace": str(tmp_path), "jobs": {}}
    assert usage["total"]["n_sittings"] == 0
    assert set(usage["total"]["used"].values()) == {None}
    assert usage["jobs"] == usage["days"] == usage["sittings"] == []

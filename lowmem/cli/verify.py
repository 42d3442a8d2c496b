"""`lowmem verify`: what was looked at and found, as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from lowmem.base.errors import DamagedWorkspaceError
from lowmem.base.units import format_bytes
from lowmem.base.wrapping import wrapped
from lowmem.report.columns import printable

if TYPE_CHECKING:
    from lowmem.repair.apply import Repair
    from lowmem.repair.findings import Finding, MirrorRelation, Verification

_WIDTH = 100
# Findings shown in text; the JSON has them all.
_SHOWN = 40


def json_from_verification(found: Verification, told: Repair) -> str:
    """Return everything as an indented JSON document, schema 1."""
    findings = [
        {**_told(one), "can_be_repaired": one.can_be_repaired} for one in found.findings
    ]
    document = {
        "schema": 1,
        "workspace": found.workspace,
        "is_whole": found.is_whole,
        "checked": asdict(found.tally),
        "findings": findings,
        "notes": list(found.notes),
        "mirror": None if found.mirror is None else asdict(found.mirror),
        "repairs": told.done,
        "not_repaired": told.failed,
    }
    return json.dumps(document, indent=2)


def _told(finding: Finding) -> dict[str, object]:
    """Return a finding without what is there for its advice alone."""
    return {key: value for key, value in asdict(finding).items() if key != "typed"}


def text_from_verification(found: Verification, told: Repair) -> str:
    """Return everything for people to read."""
    tally = found.tally
    lines = [f"Workspace {found.workspace}", ""]
    for text in told.done:
        lines += _wrapped(text, "repair: ")
    for text in told.failed:
        lines += _wrapped(text, "not repaired: ")
    lines += [
        f"journal       {tally.journal_lines:,} lines",
        f"checkpoints   {tally.checkpoints:,}",
        f"results       {tally.results:,} files compared with their recorded SHA-256",
        (
            f"chunks        {tally.chunks:,} with a CRC-32C of their own, "
            f"{tally.unrecorded:,} of them without a record"
        ),
        f"read          {format_bytes(tally.bytes)} of results",
    ]
    lines += _lines_of_mirror(found.mirror)
    for note in found.notes:
        lines += _wrapped(note, "note: ")
    lines.append("")
    if found.is_whole:
        lines.append("All is as it was written.")
    for finding in found.findings[:_SHOWN]:
        lines += _lines_of(finding)
    if len(found.findings) > _SHOWN:
        lines.append(f"... and {len(found.findings) - _SHOWN:,} more: --json has all")
    return "\n".join(map(printable, lines))


def _lines_of_mirror(mirror: MirrorRelation | None) -> list[str]:
    if mirror is None:
        return ["mirror        none is known; --mirror URL names one"]
    if mirror.problem:
        text = f"{mirror.url} cannot be read, which is no damage here: {mirror.problem}"
        return _wrapped(text, "mirror: ")
    candidates = f", {mirror.n_candidates} without a marker" * bool(mirror.n_candidates)
    lines = [
        f"mirror        {mirror.url}",
        (
            f"              {mirror.n_whole} of {mirror.n_generations} generations of "
            f"this workspace whole{candidates}"
        ),
    ]
    for job in mirror.jobs:
        results = ", results equal to the bit" * job.has_results
        lines.append(
            f"              {job.job}: durable {job.durable} of committed "
            f"{job.committed}{results}"
        )
    return lines


def _lines_of(finding: Finding) -> list[str]:
    held = f" ({finding.samples})" if finding.samples else ""
    text = f"{finding.path}{held}: {finding.problem}. {finding.advice}."
    return _wrapped(text, "damaged: ")


def _wrapped(text: str, head: str) -> list[str]:
    return wrapped(head + text, _WIDTH, later="  ")


def damage_error(found: Verification) -> DamagedWorkspaceError:
    """Return the error that tells of what is damaged."""
    first = found.findings[0]
    return DamagedWorkspaceError(
        workspace=found.workspace,
        n_damaged=len(found.findings),
        n_repairable=sum(one.can_be_repaired for one in found.findings),
        first=f"{first.path} {first.problem}",
    )

"""The line of ``lowmem usage``."""

from __future__ import annotations

import shutil
from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from lowmem.base.errors import OptionValueError
from lowmem.base.stderr import without_controls
from lowmem.pipeline.mirror_sittings import is_mirror, mirror_sats
from lowmem.pipeline.spaces import existing_space
from lowmem.report.accounting import json_from_usage, usage_of
from lowmem.report.read import read_sats
from lowmem.report.usage_text import text_from_usage
from lowmem.shards.places import parts_in, sharded_jobs
from lowmem.supervisor.lock import is_held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowmem.base.workspace import Workspace
    from lowmem.report.accounting import Sat

_DEFAULT_WORKSPACE = "lowmem-work"


def add_to(app: typer.Typer) -> None:
    """Give the command line this command."""
    app.command(name="usage")(usage_command)


def usage_command(
    workspaces: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORKSPACE...]",
            help="Folders of experiments, and mirrors by folder or URL. "
            f"{_DEFAULT_WORKSPACE} where none is given.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE", help="Count from this day on, in UTC: 2026-11-22."
        ),
    ] = None,
) -> None:
    """Say what was used, and how each sitting ended: hours, bytes."""
    first_day = None if since is None else _day(since)
    # Named twice, it is still one.
    found = dict(map(_told_by, workspaces or [_DEFAULT_WORKSPACE]))
    sats = [sat for told in found.values() for sat in told]
    usage = usage_of(sats, since=first_day)
    names = list(found)
    if as_json:
        print(json_from_usage(usage, names, first_day))
        return
    # Eighty columns where nobody looks on.
    width = shutil.get_terminal_size().columns
    print(without_controls(text_from_usage(usage, names, since=first_day, width=width)))


def _told_by(place: str) -> tuple[str, list[Sat]]:
    """Return the name of a workspace or a mirror, and the sittings that it tells of."""
    if is_mirror(place):
        return place, mirror_sats(place)
    space = existing_space(place)
    return str(space.root), list(_sats(space))


def _sats(space: Workspace) -> Iterator[Sat]:
    """Yield the sittings at a workspace, those of shards too."""
    parts = (part for job in sharded_jobs(space) for part in parts_in(space, job))
    for one in (space, *(part.space for part in parts)):
        yield from read_sats(one, is_live=is_held(one))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise OptionValueError(
            option="--since", value=text, expected="a day such as 2026-11-22"
        ) from error

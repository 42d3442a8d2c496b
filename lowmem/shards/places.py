"""Where the shards of a workspace keep what: their boards, and a part for each."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lowmem.base.outside import BAD_JSON
from lowmem.base.workspace import Workspace
from lowmem.shards.board import Board
from lowmem.shards.shard import Shard
from lowmem.shards.storage import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from lowmem.base.clock import Clock

_PARTS = "parts"
_DIGEST = re.compile(r"[0-9a-f]{16}")
_PART = re.compile(r"(\d{4})of(\d{4})-(.+)-([A-Za-z0-9]+)", re.ASCII)
_NO_NAME = re.compile(r"[^A-Za-z0-9]+")
# Characters of a machine's name, and of its kernel's identity, in that of a part.
_NAME, _BOOT = 40, 8


def kernel_of(boot: str) -> str:
    """Return how a running kernel is named here, from its identity.

    Examples
    --------
    >>> kernel_of("52e45374-aa01"), kernel_of("")
    ('52e45374', '0')
    """
    return _NO_NAME.sub("", boot)[:_BOOT] or "0"


def holder_of(shard: Shard, *, machine: str, boot: str) -> str:
    """Return who works on a shard: one name on one running kernel.

    A lock excludes others of that kernel for certain, and those of another machine only
    where the shared folder's locks reach. So machines do not share a part.

    Examples
    --------
    >>> holder_of(Shard(index=3, count=16), machine="node-7.lab", boot="52e45374-aa")
    '0003of0016-node-7-lab-52e45374'
    """
    name = _NO_NAME.sub("-", machine)[:_NAME].strip("-") or "machine"
    return f"{shard.index:04d}of{shard.count:04d}-{name}-{kernel_of(boot)}"


def part_of(job: str, holder: str) -> str:
    """Return where a shard keeps what is its own, see `Workspace.part`."""
    return f"shards/{job}/{_PARTS}/{holder}"


def sharded_jobs(space: Workspace) -> list[str]:
    """Return the jobs of which shards have begun."""
    folder = space.shards
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def boards_of(space: Workspace, job: str, clock: Clock) -> Iterator[tuple[Path, Board]]:
    """Yield the boards of a job, one for each recipe, with their folders."""
    folder = space.shards / job
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if _DIGEST.fullmatch(path.name):
            yield path, Board(Folder(path), clock)


def recipe_of(board: Board) -> Mapping[str, object] | None:
    """Return the recipe of a board; None where none can be read."""
    for data in board.recipes():
        with suppress(*BAD_JSON):
            found: object = msgspec.json.decode(data)
            if isinstance(found, dict):
                return found
    return None


def open_boards(
    space: Workspace,
    clock: Clock,
    is_made: Callable[[str, Mapping[str, object]], bool],
) -> Iterator[tuple[str, Board]]:
    """Yield the jobs whose shards are not put together, each with a board of it.

    Parameters
    ----------
    is_made
        Whether a job is done, of a recipe: then its blocks are of no more use.
    """
    for job in sharded_jobs(space):
        for _, board in boards_of(space, job, clock):
            if not board.is_merged and not is_made(job, recipe_of(board) or {}):
                yield job, board


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one shard has on one machine.

    Attributes
    ----------
    machine, kernel
        Where it ran, see `holder_of`.
    space
        The workspace with this part.
    """

    shard: Shard
    machine: str
    kernel: str
    space: Workspace


def parts_in(space: Workspace, job: str) -> Iterator[Part]:
    """Yield what each shard of a job that has begun has, on each machine."""
    folder = space.shards / job / _PARTS
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        found = _PART.fullmatch(path.name)
        if found is not None and int(found[1]) < int(found[2]):
            yield Part(
                shard=Shard(index=int(found[1]), count=int(found[2])),
                machine=found[3],
                kernel=found[4],
                space=Workspace(Path(space.root), part_of(job, path.name)),
            )

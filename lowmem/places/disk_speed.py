"""How fast a disk takes what is forced out to it, and what helps where it is slow.

The trial itself is a process of its own (`lowmem.places.disk_trial`): a mount that has
gone makes whoever touches it wait, for ever, and no signal ends that.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.child import Child
from lowmem.base.clock import SystemClock
from lowmem.base.units import format_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from lowmem.base.clock import Clock

# Bytes a second below which a disk is called slow: a commit of 200 MB, as of a model of
# 17 million weights with Adam, then takes ten seconds.
SLOW_BYTES_PER_S = 20 * 10**6
# seconds; a trial takes its half a second, the start of a process, and one piece's
# write at most, which took 1 s at 1 MiB/s.
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSpeed:
    """One small write to the disk of a folder.

    Attributes
    ----------
    folder
        As it was asked for.
    written_bytes
        What was written, and forced out.
    bytes_per_s
        Of that, fsync counted; None where nothing was.
    problem
        Why nothing more could be written; None where nothing stood in the way.
    """

    folder: str
    written_bytes: int = 0
    bytes_per_s: int | None = None
    problem: str | None = None

    @property
    def is_slow(self) -> bool:
        """Whether a commit there is worth being spared."""
        return self.bytes_per_s is not None and self.bytes_per_s < SLOW_BYTES_PER_S


def read_disk_speed(
    folder: Path, *, patience_s: float = _PATIENCE_S, clock: Clock | None = None
) -> DiskSpeed:
    """Try the disk of a folder; nothing is left there.

    Notes
    -----
    Takes half a second and the start of a process, at most `patience_s` where the disk
    gives no answer, and 5 s more where the process that waits for it cannot be killed.
    """
    clock = clock or SystemClock()
    give_up_at = clock.monotonic() + patience_s
    with Child("lowmem.places.disk_trial", folder) as child:
        while child.is_open and (left_s := give_up_at - clock.monotonic()) > 0:
            for line in child.lines(left_s):
                return DiskSpeed(folder=str(folder), **json.loads(line))
        problem = "the trial ended without an answer"
        if child.is_open:
            problem = f"it gave no answer within {patience_s:g} s"
    return DiskSpeed(folder=str(folder), problem=problem)


def slow_disk_problems(speeds: Iterable[DiskSpeed], kept: Iterable[str]) -> list[str]:
    """Return a sentence for each slow disk, which ends with what helps.

    Parameters
    ----------
    kept
        Folders that outlive the machine, of which some may be among the speeds.
    """
    kept = tuple(kept)
    return [
        f"the disk of {one.folder} takes {format_bytes(one.bytes_per_s or 0)}/s, and every "
        f"commit waits for it: {_help(one, kept)} (docs/places.md, Slow disks)."
        for one in speeds
        if one.is_slow
    ]


def _help(slow: DiskSpeed, kept: tuple[str, ...]) -> str:
    for folder in kept:
        if slow.folder == folder or slow.folder.startswith(f"{folder}/"):
            return (
                f"give it to --mirror {folder}/lowmem, and --workspace a folder of the "
                "local disk"
            )
    return "give --workspace a folder of a faster disk, and this one to --mirror"

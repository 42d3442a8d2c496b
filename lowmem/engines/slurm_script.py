"""The array that SLURM is given, and what it tells back. Pure.

The array's script is that of docs/scale.md: a task that stops with 75 is queued again by
itself, for as long as its launch is not to end. How each run of a task ended is the name
of an empty file in the folder of the launch.
"""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from lowmem.base.errors import OptionValueError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Of the allocation, for the page cache that a control group counts too: docs/places.md.
_HEADROOM = 10 / 9
# seconds before a time limit at which SLURM warns.
_WARNING = "USR1@120"
STOPPED = "no-requeue"
_ARRAY = re.compile(r"array\.(\d+)", re.ASCII)
_ENDED = re.compile(r"ended\.(\d+)\.(\d+)\.(\d+)\.(\d+)", re.ASCII)
_NAME = re.compile(r"-{0,2}([a-z][a-z0-9-]*)(=.*)?", re.ASCII | re.DOTALL)
# What a launch says itself, and depends upon.
_OWN = {
    "array",
    "output",
    "error",
    "parsable",
    "chdir",
    "requeue",
    "no-requeue",
    "wrap",
}
# `squeue` of a job that has ended long ago.
_UNKNOWN = "Invalid job id"


def array_options(indices: Sequence[int], ram_bytes: int, *, job: str) -> list[str]:
    """Return the options of ``sbatch`` for an array of these tasks.

    Parameters
    ----------
    ram_bytes
        RAM budget of each.

    Examples
    --------
    >>> array_options([0, 1, 2, 5], 9 * 2**20, job="encode")[2:4]
    ['--array=0-2,5', '--mem=10M']
    """
    n_mebibytes = -(-round(ram_bytes * _HEADROOM) // 2**20)
    return [
        "--parsable",
        f"--job-name=lowmem-{job}",
        f"--array={_ranges(indices)}",
        f"--mem={n_mebibytes}M",
        f"--signal={_WARNING}",
        "--requeue",
        # The script writes to a file of its own: a path's % would be SLURM's here.
        "--output=/dev/null",
    ]


def given_options(words: Iterable[str]) -> list[str]:
    """Return options of ``sbatch`` as they are typed there, which win over a launch's.

    Raises
    ------
    OptionValueError
        If one is none, or one that a launch depends upon.

    Examples
    --------
    >>> given_options(["partition=short", "--exclusive"])
    ['--partition=short', '--exclusive']
    """
    found = []
    for word in words:
        match = _NAME.fullmatch(word)
        if match is None or match[1] in _OWN:
            raise OptionValueError(
                option="--engine-option",
                value=word,
                expected="NAME or NAME=VALUE of a long option of sbatch, such as "
                f"partition=short, and none of {', '.join(sorted(_OWN))}",
            )
        found.append(f"--{match[1]}{match[2] or ''}")
    return found


def script_of(
    program: Sequence[str], words: Sequence[str], *, n_shards: int, log_folder: str
) -> str:
    """Return the script of an array's task.

    Parameters
    ----------
    program, words
        The command of a shard, before and after ``--shard``.
    log_folder
        Where its log goes, and how it has ended.
    """
    shard = f'--shard "$SLURM_ARRAY_TASK_ID/{n_shards}"'
    return f"""#!/bin/bash
folder={shlex.quote(log_folder)}
exec >> "$folder/$SLURM_ARRAY_TASK_ID.log" 2>&1
srun {shlex.join(program)} {shard} {shlex.join(words)}
status=$?
task="$SLURM_ARRAY_JOB_ID.$SLURM_ARRAY_TASK_ID.${{SLURM_RESTART_COUNT:-0}}"
: > "$folder/ended.$task.$status"
if [ "$status" -eq 75 ] && [ -d "$folder" ] && [ ! -e "$folder/{STOPPED}" ]; then
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$status"
"""


def _ranges(indices: Sequence[int]) -> str:
    """Return numbers as SLURM lists them, neighbours together."""
    runs: list[list[int]] = []
    for index in sorted(indices):
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(
        str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs
    )


def array_number(printed: str) -> str | None:
    """Return the number that ``sbatch --parsable`` printed; None if it is none.

    Examples
    --------
    >>> array_number("123;cluster"), array_number("sbatch: error")
    ('123', None)
    """
    number = printed.strip().partition(";")[0]
    return number if number.isdecimal() else None


def arrays_named(names: Iterable[str]) -> list[str]:
    """Return the arrays that the folder of a launch names.

    Examples
    --------
    >>> arrays_named(["array.12", "beat.000000001"])
    ['12']
    """
    return [match[1] for name in sorted(names) if (match := _ARRAY.fullmatch(name))]


def tasks_in_queue(
    status: int, printed: str, errors: str
) -> frozenset[tuple[str, int]] | None:
    r"""Return which tasks ``squeue`` lists, by array and number; None where it cannot tell.

    Parameters
    ----------
    status, printed, errors
        How ``squeue --array --noheader --format %F_%K`` ended, and what it printed.

    Examples
    --------
    >>> sorted(tasks_in_queue(0, "12_0\n12_3\n", ""))
    [('12', 0), ('12', 3)]
    >>> tasks_in_queue(1, "", "slurm_load_jobs error: Invalid job id specified")
    frozenset()
    """
    if status != 0:
        return frozenset() if _UNKNOWN in errors else None
    found = set()
    for line in printed.split():
        array, _, task = line.partition("_")
        if array.isdecimal() and task.isdecimal():
            found.add((array, int(task)))
    return frozenset(found)


def last_ends(names: Iterable[str], array: str) -> dict[int, int]:
    """Return with which status the last run of each task of an array has ended.

    Examples
    --------
    >>> last_ends(["ended.12.0.0.75", "ended.12.0.1.0", "ended.12.1.0.65"], "12")
    {0: 0, 1: 65}
    """
    found = sorted(
        tuple(map(int, match.groups()))
        for name in names
        if (match := _ENDED.fullmatch(name))
    )
    return {task: status for own, task, _, status in found if str(own) == array}

"""Help texts that depend on the jobs: their list, and each one's options."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from lowmem.base.stderr import columns_of
from lowmem.base.wrapping import wrapped
from lowmem.pipeline.orders import PIPELINE
from lowmem.protocol.option import Option
from lowmem.protocol.options import flag_of
from lowmem.protocol.told_jobs import JobDescription
from lowmem.supervisor import planner

_INDENT = 28
_WIDTH = 96
# Of a terminal that has no room for two columns of text.
_NARROW_INDENT = 6
_NARROW = 60
# The library that draws the rest fills 50 columns, and more, whatever the terminal has.
_LEAST_OF_LIBRARY = 52
# Columns that the library leaves free.
_FREE = 2


def narrow_width() -> int | None:
    """Return the width of help where the terminal is narrower than its library minds."""
    columns = columns_of(sys.stdout)
    return max(columns - _FREE, 1) if 0 < columns < _LEAST_OF_LIBRARY else None


def jobs_list(jobs: Sequence[JobDescription]) -> str:
    """Return one line a job."""
    width = max(len(job.name) for job in jobs)
    lines = [f"{job.name:<{width}}  {job.summary}" for job in jobs]
    lines.append(f"{'all':<{width}}  {', '.join(PIPELINE)}: one after the other.")
    return "\n".join(lines)


def job_help(context: typer.Context, job: str | None) -> str:
    """Return the help of ``run`` or ``plan``, with the options of a job if given."""
    parts = [context.get_help()]
    width = min(_WIDTH, columns_of(sys.stdout) or _WIDTH)
    if job is None:
        words = "`lowmem jobs` lists the jobs; `lowmem run JOB --help` their options."
        parts.append("\n".join(wrapped(words, width)))
    else:
        described = planner.describe(PIPELINE if job == "all" else [job])
        parts += (options_text(one, width) for one in described)
    return "\n\n".join(parts)


def names_to_complete(incomplete: str) -> list[str]:
    """Return the jobs that a half typed word may become; none for a file's name."""
    names = [*(job.name for job in planner.describe()), "all"]
    return [name for name in names if name.startswith(incomplete)]


def options_text(job: JobDescription, width: int) -> str:
    """Return the options of a job, in lines of at most so many columns."""
    lines = wrapped(f"Options of {job.name} ({job.summary.rstrip('.')}):", width)
    indent = _INDENT if width >= _NARROW else _NARROW_INDENT
    for option in job.options:
        head = f"  {_usage(option)}"
        text = wrapped(_explanation(option), width - indent) or [""]
        if len(head) >= indent:
            lines.append(head)
        else:
            lines.append(f"{head:<{indent}}{text.pop(0)}")
        lines += [" " * indent + line for line in text]
    return "\n".join(lines)


def _usage(option: Option) -> str:
    flag = flag_of(option.name)
    if option.kind == "flag":
        return f"{flag}/--no-{flag.removeprefix('--')}"
    return f"{flag} {'|'.join(option.choices) or option.kind.upper()}"


def _explanation(option: Option) -> str:
    if option.is_required:
        return f"{option.help} [must be given]".lstrip()
    if option.default is None:
        return option.help
    default = option.default
    if option.kind == "flag":
        default = "yes" if default else "no"
    elif isinstance(default, list | tuple):
        default = ",".join(map(str, default))
    return f"{option.help} [default: {default}]".lstrip()

"""Write the pages of docs/reference that follow from the code: ``make reference``.

They are committed, since who reads the documents where the code lies builds no site; a
test holds them against the code.
"""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from docs.site.command_tree import Command, Word, commands_of
from docs.site.exit_codes import carriers, exit_codes
from lowmem.base.errors import OptionValueError
from lowmem.cli.config_file import schema_from_tables, tables_of
from lowmem.cli.main import app
from lowmem.mapping.map_description import named_job
from lowmem.pipeline.orders import PIPELINE, RunOptions, with_config
from lowmem.protocol.options import flag_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from lowmem import Job, Option

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
SCHEMA = ROOT / "docs" / "lowmem.schema.json"
_MADE = "<!-- Written by `make reference` from the code: change that instead. -->"
_KINDS = {
    "int": "whole number",
    "float": "number",
    "str": "text",
    "flag": "switch",
    "ints": "whole numbers, such as `64,128`",
    "floats": "numbers, such as `0.5,1`",
    "texts": "texts without commas, such as `a,b`",
    "path": "path",
}


def command_page() -> str:
    """Return the page of every command with its arguments and options."""
    return page_from_commands(tuple(commands_of(typer.main.get_command(app))))


def page_from_commands(commands: Sequence[Command]) -> str:
    """Return the page of some commands.

    Parameters
    ----------
    commands
        The one that holds all others first.
    """
    parts = [
        "# Commands",
        _MADE,
        (
            "Every command, with all that it takes. What a job takes beside is on "
            "[the page of jobs](job-options.md); what a command ends with, on "
            "[that of exit codes](exit-codes.md); what `--json` prints, on "
            "[that of formats](../formats/printed.md)."
        ),
        (
            "A *size* is a number of bytes with a unit: `10G` and `10GB` are 10^10 bytes, "
            "`10GiB` and `10Gi` are 10 x 2^30. A *duration* is `90m` or `11h30m`. A "
            "*switch* is given without a value, and off by default."
        ),
        _told_of_variables(commands),
    ]
    parts += [part for command in commands for part in _command_parts(command)]
    return _joined(parts)


def _told_of_variables(commands: Sequence[Command]) -> str:
    words = [word for c in commands for word in (*c.arguments, *c.options)]
    if any(word.variable for word in words):
        return "An option with an environment variable names it."
    return "No option is read from an environment variable."


def _command_parts(command: Command) -> Iterator[str]:
    yield f"## `{command.name}`"
    yield command.help
    yield f"```\n{_usage(command)}\n```"
    if command.arguments:
        yield _table(
            ("argument", "value", "default", "meaning"),
            [_row(word, f"`{word.metavar}`") for word in command.arguments],
        )
    yield _table(
        ("option", "value", "default", "meaning"),
        [_row(word, _typed(word)) for word in command.options],
    )
    if command.epilog:
        yield command.epilog


def _usage(command: Command) -> str:
    words = [command.name, "[OPTIONS]"]
    for word in command.arguments:
        is_plain = word.is_required or word.metavar.startswith("[")
        words.append(word.metavar if is_plain else f"[{word.metavar}]")
    if command.has_commands:
        words.append("COMMAND ...")
    return " ".join(words)


def _typed(word: Word) -> str:
    flags = ", ".join(f"`{flag}`" for flag in word.flags)
    return f"{flags} `{word.metavar}`" if word.metavar else flags


def _row(word: Word, head: str) -> tuple[str, ...]:
    told = word.help
    if word.variable:
        told += f" Environment: `{word.variable}`."
    if word.is_required:
        told += " Required."
    default = f"`{word.default}`" if word.default else ""
    return head, word.kind, default, told


def jobs_page() -> str:
    """Return the page of the built-in jobs with the options of each."""
    keys = ", ".join(f"`{key}`" for key in _keys_of_run())
    jobs = built_in_jobs()
    parts = [
        "# Options of the jobs",
        _MADE,
        (
            "What `lowmem run JOB` and `lowmem plan JOB` take beside "
            "[the options of every run](commands.md#lowmem-run)."
        ),
        (
            "`lowmem.toml` in the workspace may give the same, in a table of the job's "
            "name, without the two dashes: `batch-size = 32` in `[train]`. The options of "
            f"every run stand in `[run]`: {keys}. The command line wins. `lowmem init` "
            "writes the file with all of them."
        ),
        (
            "`lowmem run all` runs "
            f"{', '.join(f'`{name}`' for name in PIPELINE)}, one after the other. It takes "
            "the options of all of them but those marked *not in `all`*."
        ),
        _told_of_marks(jobs),
    ]
    for job in jobs:
        parts += [f"## `{job.name}`", job.summary, _options_table(job.options)]
    mapped = named_job("map:OUT.zarr")
    parts += [
        "## `map`",
        "What `lowmem map FUNCTION SOURCE OUT` takes; its words give the first two.",
        _options_table(mapped.options),
    ]
    return _joined(parts)


def built_in_jobs() -> list[Job]:
    """Return the jobs that lowmem installs, those of `all` first and in their order."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    points: dict[str, str] = tomllib.loads(text)["project"]["entry-points"][
        "lowmem.jobs"
    ]
    later = sorted(set(points) - set(PIPELINE))
    return [_loaded(points[name]) for name in (*PIPELINE, *later)]


def _loaded(point: str) -> Job:
    module, _, name = point.partition(":")
    job: Job = getattr(import_module(module), name)
    return job


def _keys_of_run() -> list[str]:
    """Return the keys of ``[run]``, which the refusal of another one lists."""
    try:
        with_config(RunOptions(), {"no-key": 1})
    except OptionValueError as error:
        return str(error).rpartition("expected ")[2].rstrip(".").split(" or ")
    raise LookupError("a key of [run] that there is not was taken")


def schema_text() -> str:
    """Return the JSON schema of lowmem.toml, with the tables of the built-in jobs."""
    return schema_from_tables(tables_of(typer.main.get_command(app), built_in_jobs()))


def _options_table(options: Iterable[Option]) -> str:
    rows = [
        (_flags(option), _rule(option), _default(option), _meaning(option))
        for option in options
    ]
    return _table(("option", "value", "default", "meaning"), rows)


def _flags(option: Option) -> str:
    flag = flag_of(option.name)
    no = flag_of(f"no_{option.name}")
    return f"`{flag}`, `{no}`" if option.kind == "flag" else f"`{flag}`"


def _rule(option: Option) -> str:
    if option.choices:
        return " or ".join(f"`{choice}`" for choice in option.choices)
    least = "" if option.minimum is None else f", at least {option.minimum:g}"
    return _KINDS[option.kind] + least


def _default(option: Option) -> str:
    value = option.default
    if value is None:
        return "must be given" if option.is_required else ""
    if option.kind == "flag":
        return "on" if value else "off"
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return f"`{text}`"


def _told_of_marks(jobs: Sequence[Job]) -> str:
    """Return what is said of recipes, and of the marks that any option has."""
    marks = {mark for job in jobs for option in job.options for mark in _marks(option)}
    told = [
        "An option is part of the recipe: a run that continues refuses another value."
    ]
    if "*extent*" in marks:
        told.append(
            "Of those marked *extent* more is more of the same: it continues a finished "
            "run."
        )
    if "*free*" in marks:
        told.append("Of those marked *free* another value may be given.")
    return " ".join(told)


def _meaning(option: Option) -> str:
    return f"{option.help} {', '.join(_marks(option))}".strip()


def _marks(option: Option) -> list[str]:
    marks = {
        "*not in `all`*": not option.is_shared,
        "*free*": not option.is_recipe,
        "*extent*": option.is_extent,
    }
    return [mark for mark, holds in marks.items() if holds]


def exit_codes_page() -> str:
    """Return the page of every exit code, and of the errors that end in it."""
    codes = exit_codes()
    parts = [
        "# Exit codes",
        _MADE,
        (
            "What `lowmem` ends with. Every code but 0 comes with one paragraph on standard "
            "error: what happened, where, and what to do. In Python each error has its code "
            "as `exit_code`."
        ),
        _table(
            ("code", "name", "meaning"),
            [(f"{c.code}", f"`{c.name}`", c.meaning) for c in codes],
        ),
        (
            "The names are those of `lowmem.base.errors`. `lowmem exec` passes on the exit "
            "code of the program, and 128 and the signal's number where a signal ended it: "
            "see [its page](../exec.md)."
        ),
    ]
    for code in codes:
        if code.errors:
            rows = [(f"`{name}`", told) for name, told in code.errors]
            parts += [
                f"## {code.code}: {code.meaning}",
                _table(("error", "when"), rows),
            ]
    rows = [(f"`{name}`", told) for name, told in carriers()]
    parts += ["## With the code of what they tell of", _table(("error", "when"), rows)]
    return _joined(parts)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _joined(parts: Iterable[str]) -> str:
    return "\n\n".join(parts) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "commands.md": command_page,
    "job-options.md": jobs_page,
    "exit-codes.md": exit_codes_page,
}


def main() -> None:
    """Write every page anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
        print(f"docs/reference/{name}")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    print("docs/lowmem.schema.json")


if __name__ == "__main__":
    main()

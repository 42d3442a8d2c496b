"""The line of ``lowmem init``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from lowmem.base.errors import UsageError
from lowmem.base.files import make_folder, write_file
from lowmem.cli.config_file import tables_of, text_from_tables
from lowmem.pipeline.spaces import own_space
from lowmem.supervisor import planner

# Where the documents lie beside the code, which an installed copy has not.
_SCHEMA = Path(__file__).parents[2] / "docs" / "lowmem.schema.json"


def add_to(app: typer.Typer) -> None:
    """Give the command line this command."""
    app.command(name="init")(init_command)


def init_command(
    context: typer.Context,
    folder: Annotated[
        str,
        typer.Argument(
            metavar="[FOLDER]", help="Folder of the experiment; may be new."
        ),
    ] = "lowmem-work",
) -> None:
    """Write a lowmem.toml with every key, its default and its meaning."""
    space = own_space(folder)
    if os.path.lexists(space.config):
        raise UsageError(
            f"{space.config} is there already, expected a folder without one. Nothing "
            "was changed: remove it, or name another folder."
        )
    tables = tables_of(context.find_root().command, planner.describe())
    schema = _SCHEMA.as_uri() if _SCHEMA.is_file() else ""
    make_folder(space.root)
    write_file(space.config, text_from_tables(tables, schema).encode())
    print(space.config)

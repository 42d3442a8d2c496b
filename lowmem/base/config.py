"""Read lowmem.toml: tables of plain values, checked later by whoever owns the keys."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from lowmem.base.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

Scalar = str | int | float | bool | list[int] | list[str]


def read_config(path: Path) -> dict[str, dict[str, Scalar]]:
    """Return the tables of a configuration file; empty where there is none.

    Raises
    ------
    ConfigError
        If the file is not TOML, or holds a key outside a table.
    """
    if not path.exists():
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(
            path=path, problem=f"cannot be read ({error})", expected="TOML"
        ) from error
    for key, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(
                path=path,
                problem=f"has the key {key!r} outside a table",
                expected="tables such as [run] or [train]",
            )
    return tables

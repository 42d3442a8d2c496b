"""Read lowmem.toml: tables of plain values, checked later by whoever owns the keys."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from lowmem.base.errors import ConfigError, DataError, StorageError
from lowmem.base.outside import read_text_bytes

if TYPE_CHECKING:
    from pathlib import Path

Scalar = str | int | float | bool | list[int] | list[str]

# All options of all jobs take some kilobytes.
_MOST_BYTES = 2**20


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
        tables = tomllib.loads(read_text_bytes(path, _MOST_BYTES).decode())
    except StorageError as error:
        raise ConfigError(
            path=path,
            problem=f"cannot be read ({error.problem})",
            expected="a file that the disk gives back and this user may read",
        ) from error
    except (ValueError, OSError, DataError) as error:
        raise ConfigError(
            path=path, problem=f"cannot be read ({error})", expected="TOML"
        ) from error
    except RecursionError as error:
        raise ConfigError(
            path=path,
            problem="cannot be read (it is nested too deeply)",
            expected="tables of plain values",
        ) from error
    for key, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(
                path=path,
                problem=f"has the key {key!r} outside a table",
                expected="tables such as [run] or [train]",
            )
    return tables

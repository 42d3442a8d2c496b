"""The kinds of file that `pack` reads, by their names; loads a reader when it is used."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol, cast

from lowmem.base import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any

    from lowmem_jobs.pack.column_types import ColumnRows, ColumnType, TableBlock
    from lowmem_jobs.pack.pack_recipe import PackRecipe
    from lowmem_jobs.pack.seen_values import Observed

_GZIP = ".gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFormat:
    """One kind of file.

    Attributes
    ----------
    suffixes
        How the names of such files end.
    reader
        The module that reads it: of a `DeclaredReader`, or of a `SeenReader`.
    is_declared
        Whether the file itself says what its columns are.
    package, extra
        What must be installed for it, and what brings it; None for nothing.
    may_be_gzip
        Whether it is read from a gzip file too.
    """

    suffixes: tuple[str, ...]
    reader: str
    is_declared: bool
    package: str | None = None
    extra: str = ""
    may_be_gzip: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLimits:
    """What a reader may hold at once: memory settings, which never change a row.

    Attributes
    ----------
    n_bytes
        Of a file's own bytes, or of the rows in memory; at least one row is read.
    n_rows
        Of rows.
    """

    n_bytes: int
    n_rows: int

    def rows_of(self, row_bytes: float) -> int:
        """Return how many rows of some size are read at once."""
        return max(1, min(self.n_rows, int(self.n_bytes / max(1.0, row_bytes))))


class DeclaredReader(Protocol):
    """A module that reads files which declare the types of their columns."""

    def declared(self, path: Path, recipe: PackRecipe) -> Mapping[str, ColumnType]:
        """Return the wanted columns, in their order."""
        ...

    def blocks(
        self,
        path: Path,
        position: tuple[int, ...],
        limits: BlockLimits,
        recipe: PackRecipe,
        types: Mapping[str, ColumnType],
    ) -> Iterator[TableBlock]:
        """Yield the rows from a position on, in order; of an empty one all."""
        ...


class SeenReader(Protocol):
    """A module that reads files whose values have to be looked at first."""

    def blocks(
        self,
        path: Path,
        position: tuple[int, ...],
        limits: BlockLimits,
        recipe: PackRecipe,
    ) -> Iterator[TableBlock]:
        """Yield the values from a position on, in order; of an empty one all."""
        ...

    def observed(self, values: list[Any]) -> Observed:
        """Return what some values of a column are."""
        ...

    def rows_of(self, values: list[Any], column: ColumnType) -> ColumnRows:
        """Return values as rows of a type that holds all of them."""
        ...


FORMATS = {
    "csv": TableFormat(
        suffixes=(".csv", ".tsv"),
        reader="csv_rows",
        is_declared=False,
        may_be_gzip=True,
    ),
    "jsonl": TableFormat(
        suffixes=(".jsonl", ".ndjson"),
        reader="jsonl_rows",
        is_declared=False,
        may_be_gzip=True,
    ),
    "text": TableFormat(
        suffixes=(".txt",), reader="text_rows", is_declared=True, may_be_gzip=True
    ),
    "parquet": TableFormat(
        suffixes=(".parquet", ".pq"),
        reader="parquet_rows",
        is_declared=True,
        package="pyarrow",
        extra="tables",
    ),
    "arrow": TableFormat(
        suffixes=(".arrow", ".feather", ".ipc", ".arrows"),
        reader="ipc_rows",
        is_declared=True,
        package="pyarrow",
        extra="tables",
    ),
    "hdf5": TableFormat(
        suffixes=(".h5", ".hdf5", ".hdf"),
        reader="hdf5_rows",
        is_declared=True,
        package="h5py",
        extra="hdf5",
    ),
    "tfrecord": TableFormat(
        suffixes=(".tfrecord", ".tfrecords"),
        reader="tfrecord_rows",
        is_declared=False,
        package="google.protobuf",
        extra="tfrecord",
        may_be_gzip=True,
    ),
}


def format_of(name: str) -> str | None:
    """Return the format of a file by its name; None where it says none.

    Examples
    --------
    >>> format_of("a.csv.gz"), format_of("a.parquet.gz"), format_of("x.tfrecord-00000-of-2")
    ('csv', None, 'tfrecord')
    """
    plain = name.lower()
    is_gzip = plain.endswith(_GZIP)
    plain = plain.removesuffix(_GZIP)
    # Shards of TensorFlow's are named so.
    stem, dash, rest = plain.rpartition(".tfrecord-")
    if dash and stem and rest[:1].isdigit():
        return "tfrecord"
    for key, known in FORMATS.items():
        if plain.endswith(known.suffixes) and (known.may_be_gzip or not is_gzip):
            return key
    return None


def names_of_table_formats() -> str:
    """Return how the names of files end that can be read, for messages."""
    return ", ".join(suffix for one in FORMATS.values() for suffix in one.suffixes)


def refuse_missing_package(key: str) -> None:
    """Refuse a format whose library is not installed.

    Raises
    ------
    MissingDependencyError
        Naming it, and the extra that brings it.
    """
    known = FORMATS[key]
    if known.package is None:
        return
    try:
        is_there = find_spec(known.package) is not None
    except ModuleNotFoundError:
        is_there = False
    if not is_there:
        raise MissingDependencyError(
            package=f"lowmem[{known.extra}]", purpose=f"reading {key} files"
        )


def declared_reader(key: str) -> DeclaredReader:
    """Return what reads a format that declares its types."""
    return cast("DeclaredReader", _module(key))


def seen_reader(key: str) -> SeenReader:
    """Return what reads a format of which values are looked at first."""
    return cast("SeenReader", _module(key))


def _module(key: str) -> object:
    return import_module(f"lowmem_jobs.pack.{FORMATS[key].reader}")

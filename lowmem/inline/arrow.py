"""Tables between a supervised function and its caller: Arrow's file format.

Of pandas, Polars and pyarrow, whichever the function itself has loaded. A table that Arrow
does not give back the same is refused, not changed.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from lowmem.base.errors_inline import ReturnValueError

if TYPE_CHECKING:
    from pathlib import Path

_NEEDED = "pyarrow"


def kind_of_table(value: object) -> str | None:
    """Return the library whose table this is; None for anything else."""
    for library, name in (
        ("pandas", "DataFrame"),
        ("polars", "DataFrame"),
        ("pyarrow", "Table"),
    ):
        # Whoever made one has loaded it.
        kind = getattr(sys.modules.get(library), name, None)
        if kind is not None and type(value) is kind:
            return library
    return None


def write_table(
    value: Any,  # noqa: ANN401 - a table of whichever library
    library: str,
    path: Path,
    place: str,
) -> None:
    """Write a table, and see that it comes back the same.

    Raises
    ------
    ReturnValueError
        If it does not, or pyarrow is not installed.

    Notes
    -----
    Memory: the table once more, as what is read back.
    """
    try:
        arrow = import_module(_NEEDED)
        ipc = import_module("pyarrow.ipc")
    except ImportError as error:
        found = f"a table of {library}, and {_NEEDED} is not installed"
        raise ReturnValueError(place=place, found=found) from error
    try:
        table = _to_arrow(value, library, arrow)
        with ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
        is_same = _is_same(value, read_table(library, path), library)
    except (
        arrow.ArrowException,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
    ) as error:
        found = f"a table of {library} that Arrow does not take ({error})"
        raise ReturnValueError(place=place, found=found) from error
    if not is_same:
        found = f"a table of {library} that Arrow gives back changed"
        raise ReturnValueError(place=place, found=found)


def read_table(library: str, path: Path) -> object:
    """Return a table of the library that it was of."""
    ipc = import_module("pyarrow.ipc")
    with ipc.open_file(str(path)) as reader:
        table = reader.read_all()
    if library == "pandas":
        return table.to_pandas()
    return import_module("polars").from_arrow(table) if library == "polars" else table


def _to_arrow(value: Any, library: str, arrow: Any) -> Any:  # noqa: ANN401 - as above
    if library == "pandas":
        return arrow.Table.from_pandas(value)
    return value.to_arrow() if library == "polars" else value


def _is_same(one: Any, other: Any, library: str) -> bool:  # noqa: ANN401 - as above
    if library == "polars":
        return bool(one.schema == other.schema and one.equals(other))
    if library == "pyarrow":
        return bool(one.equals(other, check_metadata=True))
    indexes = ((one.index, other.index), (one.columns, other.columns))
    # pandas itself takes two indexes for equal whatever they are called.
    return (
        bool(one.equals(other))
        and all(
            a.equals(b)
            and list(a.names) == list(b.names)
            and a.dtype == b.dtype
            and getattr(a, "freq", None) == getattr(b, "freq", None)
            for a, b in indexes
        )
        and _have_same_objects(one, other)
        and one.flags == other.flags
        and one.attrs == other.attrs
    )


def _have_same_objects(one: Any, other: Any) -> bool:  # noqa: ANN401 - as above
    """Return whether columns of objects hold the same ones, None and NaN told apart."""
    return all(
        type(a) is type(b) and repr(a) == repr(b)
        for n, dtype in enumerate(one.dtypes)
        if dtype.kind == "O"
        for a, b in zip(one.iloc[:, n], other.iloc[:, n], strict=True)
    )

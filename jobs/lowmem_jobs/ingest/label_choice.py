"""Which table the labels of pictures come from, read from the options of an ingest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowmem.base import DataError, OptionValueError, UsageError, path_from_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Sources whose pictures have names of their own.
_NAMED_KINDS = ("folder", "zip", "tar")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChoice:
    """A column of a table of labels.

    Attributes
    ----------
    path
        Where the table is.
    column
        The title of the column with the labels; None of a table without titles.
    key
        The title of the column with the names of pictures; None: the first.
    """

    path: Path
    column: str | None = None
    key: str | None = None


def label_choice(options: Mapping[str, Any], kind: str) -> LabelChoice | None:
    """Return where labels are to be taken from; None: from folders.

    Raises
    ------
    UsageError
        If a column is named and no table.
    OptionValueError
        If the source is of a kind whose images have no names of their own.
    DataError
        If the table is not there.
    """
    # Recipes that older versions wrote have none of these.
    table = options.get("labels")
    column, key = options.get("label"), options.get("label_key")
    if table is None:
        for name, given in (("--label", column), ("--label-key", key)):
            if given is not None:
                raise UsageError(
                    f"{name} {given} names a column of a table, and no table is given: "
                    "add --labels TABLE."
                )
        return None
    if kind not in _NAMED_KINDS:
        raise OptionValueError(
            option="--labels",
            value=table,
            expected="a --source whose images are files with names: a folder, .zip or "
            ".tar",
        )
    path = path_from_text(table)
    if not path.exists():
        raise DataError(
            thing=path,
            problem="is not there",
            expected="the table of labels",
            todo="Give --labels an existing file.",
        )
    return LabelChoice(path=path, column=column, key=key)

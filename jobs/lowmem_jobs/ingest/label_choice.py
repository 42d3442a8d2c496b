"""Which table or files the labels of pictures come from, read from the options of an ingest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowmem.base import DataError, OptionValueError, UsageError, path_from_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Sources whose pictures have names of their own.
_NAMED_KINDS = ("folder", "shards", "zip", "tar")
# Of these, those whose other files are read where they lie.
_SIDECAR_KINDS = ("folder", "shards", "tar")
# The endings of WebDataset's files that hold a label.
NUMBER, FIELDS = "cls", "json"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class SidecarChoice:
    """Files beside the pictures that hold their labels, as in WebDataset's shards.

    Attributes
    ----------
    ending
        Of their names, after the first dot: ``cls`` or ``json``.
    field
        Of a ``json``: the key of the label in the mapping.
    """

    ending: str
    field: str | None = None


def label_choice(
    options: Mapping[str, Any], kind: str
) -> LabelChoice | SidecarChoice | None:
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
    if table in {NUMBER, FIELDS}:
        return _sidecar_choice(table, column, key, kind)
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


def _sidecar_choice(
    ending: str, field: str | None, key: str | None, kind: str
) -> SidecarChoice:
    if kind not in _SIDECAR_KINDS:
        raise OptionValueError(
            option="--labels",
            value=ending,
            expected=f"a --source with files KEY.{ending} beside the pictures: a .tar, a "
            "folder of them, or of files",
        )
    if (field is not None) != (ending == FIELDS) or key is not None:
        raise UsageError(
            "--labels json wants --label FIELD, the key of the label in each KEY.json; "
            "--labels cls has neither --label nor --label-key, since each KEY.cls holds "
            "the number alone."
        )
    return SidecarChoice(ending=ending, field=field)

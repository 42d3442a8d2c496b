"""The label in a file beside a picture: the number of a .cls, a field of a .json."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from lowmem.base import DataError
from lowmem_jobs.ingest.label_choice import FIELDS, NUMBER

if TYPE_CHECKING:
    from typing import NoReturn

    from lowmem_jobs.ingest.label_choice import SidecarChoice

# A caption and where it comes from take some hundreds.
MOST_SIDECAR_BYTES = 2**20
_KEYS_SHOWN, _CELL_SHOWN = 500, 60  # characters
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)


def cell_of(choice: SidecarChoice, data: bytes, where: str) -> str:
    r"""Return the text of the label that a file holds, no space around it.

    Parameters
    ----------
    where
        The file, for messages.

    Raises
    ------
    DataError
        If it is no UTF-8, or empty; if it is no JSON, or has not the field once, with a
        whole number, a text, true or false.

    Examples
    --------
    >>> from lowmem_jobs.ingest.label_choice import SidecarChoice
    >>> cell_of(SidecarChoice(ending="cls"), b"7\n", "a.cls")
    '7'
    >>> cell_of(SidecarChoice(ending="json", field="k"), b'{"k": true}', "a.json")
    'true'
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            thing=where,
            problem=f"is no UTF-8 ({error.reason} at byte {error.start})",
            expected="text in UTF-8",
        ) from error
    cell = text if choice.ending != FIELDS else _field(str(choice.field), text, where)
    cell = cell.strip()
    if not cell:
        raise DataError(
            thing=where, problem="holds no label: it is empty", expected="a label"
        )
    if choice.ending == NUMBER and not _WHOLE.fullmatch(cell):
        raise DataError(
            thing=where,
            problem=f"holds {cell[:_CELL_SHOWN]!r}",
            expected="the whole number of a class alone",
        )
    return cell


def _field(field: str, text: str, where: str) -> str:
    try:
        pairs = json.loads(text, object_pairs_hook=_Pairs, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(
            thing=where, problem=f"cannot be read ({error})", expected="JSON"
        ) from error
    found = (
        [value for key, value in pairs if key == field]
        if isinstance(pairs, _Pairs)
        else []
    )
    if len(found) != 1:
        keys = ", ".join(key for key, _ in pairs) if isinstance(pairs, _Pairs) else ""
        raise DataError(
            thing=where,
            problem=f"has {len(found) or 'no'} fields called {field!r}",
            expected=f"one; it has {keys[:_KEYS_SHOWN] or 'none'}",
        )
    value = found[0]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | float):
        return str(value)
    raise DataError(
        thing=f"{where}, field {field}",
        problem=f"is {_kind(value)}",
        expected="a whole number, a text, true or false",
    )


class _Pairs(list[tuple[str, object]]):
    """The fields of a mapping, those of the same key too."""


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number in JSON")


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return "a mapping" if isinstance(value, _Pairs) else "a list"

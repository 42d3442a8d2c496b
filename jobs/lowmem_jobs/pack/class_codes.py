"""Codes of categories and of labels that are texts, the same in all files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowmem.base import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from lowmem_jobs.pack.column_types import ColumnRows

# They stand in the array's metadata, which every reader loads whole.
_MOST_NAMES, _MOST_BYTES = 2**16, 2**22


class ClassCodes:
    """The names of one column's codes, as far as they are known.

    Parameters
    ----------
    array
        Its name, for messages.
    names
        Those of the last commit.
    has_own_order
        Whether names are numbered as the file's own dictionary has them, used or not; else
        as rows first have them, which no writer's dictionary changes.

    Attributes
    ----------
    names
        By code.
    """

    def __init__(
        self, array: str, names: Sequence[str], *, has_own_order: bool
    ) -> None:
        self._array = array
        self.names = list(names)
        self._code = {name: code for code, name in enumerate(self.names)}
        self._n_bytes = sum(len(name.encode()) for name in self.names)
        self._has_own_order = has_own_order

    def codes_of(self, rows: ColumnRows) -> NDArray[np.int32]:
        """Return the codes of some rows, of texts or of codes with names of their own.

        Raises
        ------
        DataError
            If there are more names than metadata should hold.
        """
        if rows.names is None:
            texts = _texts(rows)
            self._add(texts)
            return np.array([self._code[text] for text in texts], np.int32)
        own = rows.values
        if self._has_own_order:
            self._add(name for name in rows.names if name is not None)
        else:
            found, first = np.unique(own, return_index=True)
            used = (rows.names[code] for code in found[np.argsort(first)])
            self._add(name for name in used if name is not None)
        # A name that no row has is of no code.
        table = [
            self._code.get(name, -1) if name is not None else -1 for name in rows.names
        ]
        codes: NDArray[np.int32] = np.array(table or [-1], np.int32)[own]
        return codes

    def _add(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self._code:
                continue
            self._code[name] = len(self.names)
            self.names.append(name)
            self._n_bytes += len(name.encode())
            if len(self.names) > _MOST_NAMES or self._n_bytes > _MOST_BYTES:
                raise DataError(
                    thing=f"column of {self._array}",
                    problem=f"has more than {len(self.names) - 1} different names",
                    expected=f"at most {_MOST_NAMES}, of {_MOST_BYTES} bytes together",
                    todo="--types NAME=str keeps texts as they are, and --label takes "
                    "numbers.",
                )


def _texts(rows: ColumnRows) -> list[str]:
    lengths = rows.lengths if rows.lengths is not None else np.empty(0, np.int64)
    ends = np.cumsum(lengths).tolist()
    data = rows.values.tobytes()
    return [
        data[end - length : end].decode()
        for end, length in zip(ends, lengths.tolist(), strict=True)
    ]

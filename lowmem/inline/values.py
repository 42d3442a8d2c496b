"""Values between a supervised function and its caller: JSON, and a file an array or table.

Nothing is ever unpickled. What JSON has no form for is a mapping of one key, its kind.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import TYPE_CHECKING

from lowmem.base.errors_inline import ReturnValueError
from lowmem.inline.arrow import kind_of_table, read_table, write_table

if TYPE_CHECKING:
    from pathlib import Path

# JSON readers other than Python's, and Python's own limit on digits, stop here.
_LARGEST_INT = 2**53


def encode(value: object, folder: Path, place: str = "the result") -> str:
    """Return ``value`` as text; arrays are written to ``folder``.

    Raises
    ------
    ReturnValueError
        If it holds anything of another type.
    """
    return json.dumps(_Encoder(folder).encoded(value, place))


def decode(text: str, folder: Path) -> object:
    """Return the value that was encoded; arrays are read into memory."""
    return _decoded(json.loads(text), folder)


class _Encoder:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._n_files = 0

    def encoded(self, value: object, place: str) -> object:
        if value is None or type(value) in (bool, str, float):
            return value
        if type(value) is int:
            return value if abs(value) < _LARGEST_INT else {"int": hex(value)}
        if type(value) is bytes:
            return {"bytes": base64.b64encode(value).decode()}
        if type(value) in (list, tuple, dict):
            return self._container(value, place)
        library = kind_of_table(value)
        return (
            self._array(value, place)
            if library is None
            else self._table(value, library, place)
        )

    def _table(self, value: object, library: str, place: str) -> object:
        name = self._next_name("arrow")
        write_table(value, library, self._folder / name, place)
        return {library: name}

    def _next_name(self, suffix: str) -> str:
        self._n_files += 1
        return f"{self._n_files}.{suffix}"

    def _container(self, value: object, place: str) -> object:
        if isinstance(value, dict):
            pairs = [
                [
                    self.encoded(key, f"a key of {place}"),
                    self.encoded(v, f"{place}[{key!r}]"),
                ]
                for key, v in value.items()
            ]
            return {"dict": pairs}
        assert isinstance(value, list | tuple)  # noqa: S101 - for the type checker
        items = [self.encoded(v, f"{place}[{n}]") for n, v in enumerate(value)]
        return {"tuple": items} if isinstance(value, tuple) else items

    def _array(self, value: object, place: str) -> object:
        numpy = sys.modules.get("numpy")
        is_plain = numpy is not None and (
            type(value) is numpy.ndarray or isinstance(value, numpy.generic)
        )
        if numpy is None or not is_plain or value.dtype.hasobject:  # type: ignore[attr-defined]
            found = f"of type {type(value).__name__}"
            if is_plain:
                found = "an array of objects"
            raise ReturnValueError(place=place, found=found)
        name = self._next_name("npy")
        numpy.save(self._folder / name, value, allow_pickle=False)
        return {"array" if type(value) is numpy.ndarray else "scalar": name}


def _decoded(value: object, folder: Path) -> object:
    if isinstance(value, list):
        return [_decoded(item, folder) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "tuple":
        return tuple(_decoded(item, folder) for item in inner)
    if kind == "dict":
        return {_decoded(k, folder): _decoded(v, folder) for k, v in inner}
    return _plain(kind, inner, folder)


def _plain(kind: str, text: str, folder: Path) -> object:
    if kind == "int":
        return int(text, 16)
    if kind == "bytes":
        return base64.b64decode(text)
    if kind not in {"array", "scalar"}:
        return read_table(kind, folder / text)
    import numpy as np  # noqa: PLC0415 - only where there are arrays

    array = np.load(folder / text, allow_pickle=False)
    return array[()] if kind == "scalar" else array

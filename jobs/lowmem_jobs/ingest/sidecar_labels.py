"""Labels of pictures from files beside them, as in WebDataset's shards.

The files of one sample have the same path up to the first dot of their names:
``0001.jpg``, ``0001.cls``, ``0001.json``.
"""

from __future__ import annotations

from array import array
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.base import DataError
from lowmem_jobs.ingest.entries import name_hash, printable
from lowmem_jobs.ingest.folder_labels import Labels
from lowmem_jobs.ingest.hashed_numbers import HashedNumbers
from lowmem_jobs.ingest.label_columns import LabelLine
from lowmem_jobs.ingest.label_values import LabelValues
from lowmem_jobs.ingest.sidecar_cells import MOST_SIDECAR_BYTES, cell_of
from lowmem_jobs.ingest.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from lowmem_jobs.ingest.entries import Entry, ImageSource
    from lowmem_jobs.ingest.label_choice import SidecarChoice

_BLOCK_ROWS = 4096


class SidecarLabels:
    """The labels that lie beside the pictures of one source.

    Notes
    -----
    Memory: 12 bytes a sample; while they are read 40.
    """

    def __init__(self, choice: SidecarChoice) -> None:
        self._choice = choice
        self._class_names: tuple[str, ...] = ()
        self._samples = HashedNumbers(array("Q"), array("i"))

    @property
    def sha256(self) -> str:
        """Nothing: whether the source has changed is asked of the source."""
        return ""

    def refuse_other(self, sha256: str) -> None:
        """Refuse nothing: see `sha256`."""

    @property
    def attributes(self) -> dict[str, Any]:
        """What the group of a store says of where its labels come from."""
        field = {} if self._choice.field is None else {"field": self._choice.field}
        return {"labels": {"sidecars": self._choice.ending, **field}}

    def refuse_unclear(self, source: ImageSource) -> int:
        """Read all labels of a source, those of pictures that cannot be read too.

        Returns
        -------
        n_without
            How many other files belong to no sample with a label.

        Raises
        ------
        DataError
            If there is no label, or one is none: see `cell_of` and `LabelValues`.

        Notes
        -----
        Time: 10 microseconds a file, and what the disk takes for those that are read.
        """
        values, hashes = LabelValues(lambda line: line.name), array("Q")
        for line in self._lines(source):
            values.add(line)
            hashes.append(name_hash(sample_of(line.name)))
        self._class_names, numbers = values.classes()
        self._samples = HashedNumbers(hashes, numbers)
        if not len(hashes):
            raise DataError(
                thing="the source",
                problem=f"holds no file KEY.{self._choice.ending}",
                expected="one beside each picture KEY.jpg, as WebDataset's shards have",
            )
        if self._samples.twice:
            raise self._read_twice(source)
        return self._n_without(source)

    def refuse_unlabelled(self, names: Iterable[str]) -> None:
        """Refuse a picture that was read and has no label, by its name.

        Raises
        ------
        DataError
            If there is one.
        """
        self._numbers_of(list(names))

    def labels(self, names: Iterable[str]) -> Labels:
        """Return the label of each stored row, from the rows' names.

        Raises
        ------
        DataError
            If one has none.

        Notes
        -----
        Memory: 8 bytes a row, and the names of a block.
        """
        rows, rest = array("i"), iter(names)
        while block := list(islice(rest, _BLOCK_ROWS)):
            rows.frombytes(self._numbers_of(block).tobytes())
        return Labels(
            class_names=self._class_names, numbers=np.array(rows, dtype=np.int32)
        )

    def line(self, labels: Labels) -> str:
        """Return what is said of them when they are written."""
        n_classes = len(labels.class_names)
        kind = f"{n_classes} classes" if n_classes else "whole numbers"
        field = "" if self._choice.field is None else f"{self._choice.field} of "
        return f"labels: {field}.{self._choice.ending} beside the pictures, {kind}"

    def _lines(self, source: ImageSource) -> Iterator[LabelLine]:
        for index in range(len(source)):
            entry = source.entry(index)
            if self._is_sidecar(entry):
                name = printable(entry.name)
                cell = cell_of(self._choice, _content(source, entry), name)
                yield LabelLine(index, name, cell)

    def _is_sidecar(self, entry: Entry) -> bool:
        return not entry.problem and ending_of(entry.name) == self._choice.ending

    def _n_without(self, source: ImageSource) -> int:
        n_without = 0
        for start in range(0, len(source), _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, len(source))
            names = [
                printable(source.entry(index).name) for index in range(start, stop)
            ]
            n_without += int(np.count_nonzero(~self._samples.has(_hashes(names))))
        return n_without

    def _numbers_of(self, names: list[str]) -> NDArray[np.int32]:
        if not names:
            return np.empty(0, np.int32)
        wanted = _hashes(names)
        is_there = self._samples.has(wanted)
        if not is_there.all():
            name = names[int(np.argmin(is_there))]
            raise DataError(
                thing=name,
                problem=f"has no label: there is no {sample_of(name)}."
                f"{self._choice.ending}",
                expected="one beside each picture",
                todo="Add it, or leave the picture out.",
            )
        return self._samples.of(wanted)

    def _read_twice(self, source: ImageSource) -> DataError:
        named = [
            line.name
            for place, line in enumerate(self._lines(source))
            if place in self._samples.twice
        ]
        return DataError(
            thing=named[0],
            problem=f"and {named[1]} have the same name as it is stored",
            expected="one label for each sample",
        )


def sample_of(name: str) -> str:
    """Return what the files of a sample have in common: the path up to the first dot.

    Examples
    --------
    >>> sample_of("a.b/0001.left.jpg"), ending_of("a.b/0001.left.jpg")
    ('a.b/0001', 'left.jpg')
    """
    folder, slash, file = name.rpartition("/")
    return f"{folder}{slash}{file.partition('.')[0]}"


def ending_of(name: str) -> str:
    """Return what follows the first dot in the name of a file."""
    return name.rpartition("/")[2].partition(".")[2]


def _hashes(names: list[str]) -> NDArray[np.uint64]:
    hashes = (name_hash(sample_of(name)) for name in names)
    return np.fromiter(hashes, np.uint64, len(names))


def _content(source: ImageSource, entry: Entry) -> bytes:
    problem = f"has {entry.n_bytes} bytes"
    if entry.n_bytes <= MOST_SIDECAR_BYTES:
        try:
            return bytes(source.fetch(entry).data)
        except UnreadableError as error:
            problem = f"cannot be read ({error})"
    raise DataError(
        thing=printable(entry.name),
        problem=problem,
        expected=f"a label, of at most {MOST_SIDECAR_BYTES} bytes",
    )

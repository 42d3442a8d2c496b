"""Labels of pictures from the table that names them.

A line is that of the picture whose path within the source it has, or else of the only file
of the source that has its name. So it does not matter where an ingest was cut, and a
picture that could not be stored counts for nothing.
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
from lowmem_jobs.ingest.label_lines import table_sha256
from lowmem_jobs.ingest.label_table import line_numbers, read_label_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from lowmem_jobs.ingest.entries import ImageSource
    from lowmem_jobs.ingest.label_choice import LabelChoice

    Hashes = NDArray[np.uint64]

_BLOCK_ROWS = 4096


class JoinedLabels:
    """A table of labels, to be joined to the pictures of one source.

    Raises
    ------
    DataError
        If the table cannot be read, or has two lines of one name.

    Notes
    -----
    Memory: 12 bytes a line of the table; 33 while they are sorted, and 80 while as many
    names of the source are looked at.
    """

    def __init__(self, choice: LabelChoice) -> None:
        self._choice = choice
        # Before it is read: a change within that is seen at the end.
        self._sha256 = table_sha256(choice.path)
        table = read_label_table(choice)
        self._class_names, self._example = table.class_names, table.example
        self._lines = HashedNumbers(table.hashes, table.numbers)
        if self._lines.twice:
            (one, name), (two, _) = line_numbers(choice, self._lines.twice)
            raise DataError(
                thing=choice.path,
                problem=f"has two lines of {name}, {one} and {two}",
                expected="one line for each picture",
                todo="Leave one of them out.",
            )

    @property
    def sha256(self) -> str:
        """Of the table as it was before it was read."""
        return self._sha256

    def refuse_other(self, sha256: str) -> None:
        """Refuse a table that is not the one of a SHA-256, unless that is empty.

        Raises
        ------
        DataError
            If it is another one.
        """
        if sha256 not in {"", self._sha256}:
            raise DataError(
                thing=self._choice.path,
                problem="was changed or replaced while pictures were stored",
                expected="the same table from beginning to end",
                todo="Run with --restart.",
            )

    @property
    def attributes(self) -> dict[str, Any]:
        """What the group of a store says of where its labels come from."""
        choice = self._choice
        key = {} if choice.key is None else {"key": choice.key}
        return {
            "labels": {
                "table": str(choice.path),
                "sha256": self.sha256,
                "column": choice.column,
                **key,
            }
        }

    def refuse_unclear(self, source: ImageSource) -> int:
        """Refuse a source of which a line could mean two files, or two lines mean one.

        So is one of which no line means any file.

        All files count, whether they can be read or not: what becomes of one must not
        decide what a line means.

        Returns
        -------
        n_without
            How many files have no line: none of them may turn out to be a picture.

        Raises
        ------
        DataError
            Naming two files of one line, two lines of one file, or a file and a line of
            which none fits.

        Notes
        -----
        Time: 10 microseconds a file.
        """
        paths, names, places = _hashes_of(source)
        has_own = self._lines.has(paths)
        has_name = ~has_own & self._lines.has(names)
        self._refuse_shared(source, places, paths, has_own)
        self._refuse_shared(source, places, names, has_name, among=names)
        both = has_own & (names != paths) & self._lines.has(names)
        # A line of a file that lies at the top is that one's.
        both[both] = ~np.isin(names[both], paths)
        if both.any():
            raise self._two_lines(source.entry(places[int(np.argmax(both))]).name)
        if len(paths) and not (has_own | has_name).any():
            raise self._no_line(printable(source.entry(places[0]).name))
        return int(np.count_nonzero(~(has_own | has_name)))

    def refuse_unlabelled(self, names: Iterable[str]) -> None:
        """Refuse a picture that was read and has no line, by its name.

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
            If one has no line; if the table is no longer the one that was read.

        Notes
        -----
        Memory: 8 bytes a row, and the names of a block.
        """
        rows, rest = array("i"), iter(names)
        while block := list(islice(rest, _BLOCK_ROWS)):
            rows.frombytes(self._numbers_of(block).tobytes())
        self.refuse_other(table_sha256(self._choice.path))
        return Labels(
            class_names=self._class_names, numbers=np.array(rows, dtype=np.int32)
        )

    def line(self, labels: Labels) -> str:
        """Return what is said of them when they are written."""
        n_classes = len(labels.class_names)
        kind = f"{n_classes} classes" if n_classes else "whole numbers"
        column = "" if self._choice.column is None else f"{self._choice.column} of "
        return (
            f"labels: {column}{self._choice.path}, {kind}; {len(labels.numbers)} of its "
            f"{len(self._lines)} lines have pictures"
        )

    def _numbers_of(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Return the labels of pictures; each is known to be meant by one line alone."""
        if not names:
            return np.empty(0, np.int32)
        paths = np.fromiter(map(name_hash, names), np.uint64, len(names))
        files = np.fromiter(map(_file_hash, names), np.uint64, len(names))
        wanted = np.where(self._lines.has(paths), paths, files)
        is_there = self._lines.has(wanted)
        if not is_there.all():
            raise self._no_line(names[int(np.argmin(is_there))])
        return self._lines.of(wanted)

    def _refuse_shared(
        self,
        source: ImageSource,
        places: array[int],
        hashes: Hashes,
        is_meant: NDArray[np.bool_],
        among: Hashes | None = None,
    ) -> None:
        """Refuse files that a line means and that share what it means them by."""
        among = hashes[is_meant] if among is None else among
        found, counts = np.unique(among, return_counts=True)
        shared = found[counts > 1]
        is_shared = is_meant & np.isin(hashes, shared)
        if not is_shared.any():
            return
        wanted = hashes[int(np.argmax(is_shared))]
        one, two = (
            printable(source.entry(places[int(place)]).name)
            for place in np.flatnonzero(hashes == wanted)[:2]
        )
        raise DataError(
            thing=self._choice.path,
            problem=f"has one line for {one} and {two}",
            expected="one that only one file of the source can be meant by",
            todo="Give the paths within the source in the table.",
        )

    def _two_lines(self, name: str) -> DataError:
        name = printable(name)
        return DataError(
            thing=self._choice.path,
            problem=f"has two lines of {name}, by its path and by its file name, "
            f"{name.rpartition('/')[2]}",
            expected="one line for each picture",
            todo="Leave one of them out.",
        )

    def _no_line(self, name: str) -> DataError:
        has = f"such as {self._example!r}" if self._example else "of which it has none"
        return DataError(
            thing=self._choice.path,
            problem=f"has no line of {name}",
            expected="the path within the source of each picture, or its file name, "
            f"among the names in the table, {has}",
            todo="Add the line, or leave the picture out, and run with --restart; "
            "--label-key names the column of a CSV that holds the names.",
        )


def _hashes_of(source: ImageSource) -> tuple[Hashes, Hashes, array[int]]:
    """Return hashes of paths and of file names, and the numbers of the entries.

    Of members of the same path, which are one file once unpacked, the last.
    """
    paths, files, places = array("Q"), array("Q"), array("q")
    last: str | None = None
    for index in range(len(source)):
        name = source.entry(index).name
        if name == last:
            for kept in (paths, files, places):
                kept.pop()
        last = name
        text = printable(name)
        paths.append(name_hash(text))
        files.append(_file_hash(text))
        places.append(index)
    return np.frombuffer(paths, np.uint64), np.frombuffer(files, np.uint64), places


def _file_hash(name: str) -> int:
    return name_hash(name.rpartition("/")[2])

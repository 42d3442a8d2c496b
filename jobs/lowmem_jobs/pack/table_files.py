"""Which files are read, in which order, and whether they stay as they are.

Only the standard library: the planner asks for the fingerprints.
"""

from __future__ import annotations

import gzip
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from lowmem.base import DataError, path_from_text, read_json, storage_errors
from lowmem.stores import fingerprint
from lowmem_jobs.pack.pack_recipe import AUTO, refuse_unused
from lowmem_jobs.pack.table_formats import format_of, names_of_table_formats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lowmem_jobs.pack.pack_recipe import PackRecipe

# What `Dataset.save_to_disk` of Hugging Face leaves beside its Arrow files.
_SAVED_STATE, _SAVED_PARTS = "state.json", "dataset_dict.json"
_SAVED_FORMAT = "arrow"
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """One file of the source.

    Attributes
    ----------
    path
        Where it is.
    format
        A key of `FORMATS`.
    """

    path: Path
    format: str


def find_table_files(recipe: PackRecipe) -> list[TableFile]:
    """Return the files in the order of their rows.

    That of ``--source``; within a folder by name, of a saved data set as it says itself.

    Raises
    ------
    DataError
        If one is missing or of no known kind, or if they are of several kinds.
    OptionValueError
        If an option means nothing for such files.
    """
    found = [
        file
        for text in recipe.sources
        for file in _files_at(path_from_text(text), recipe.format)
    ]
    first = found[0]
    for file in found:
        if file.format != first.format:
            raise DataError(
                thing=file.path,
                problem=f"is of the kind {file.format} and {first.path} of {first.format}",
                expected="one kind of file",
                todo="Pack them one by one, each in a workspace of its own.",
            )
    refuse_unused(recipe, first.format)
    return found


def _files_at(path: Path, wanted: str) -> Iterator[TableFile]:
    if not path.exists():
        raise DataError(thing=path, problem="is not there", expected="a file or folder")
    if not path.is_dir():
        yield _file(path, wanted)
    elif (path / _SAVED_STATE).is_file():
        if wanted not in {AUTO, _SAVED_FORMAT}:
            raise DataError(
                thing=path,
                problem="holds what save_to_disk wrote, which is Arrow",
                expected=f"--format {_SAVED_FORMAT} or {AUTO}",
                todo="Give the files themselves where something else is meant.",
            )
        yield from (
            TableFile(path=file, format=_SAVED_FORMAT) for file in _saved_in(path)
        )
    elif (path / _SAVED_PARTS).is_file():
        raise DataError(
            thing=path,
            problem="holds several data sets, saved as one dictionary",
            expected="one of them",
            todo="Give one of the folders in it, such as its train.",
        )
    else:
        yield from _files_in(path, wanted)


def _file(path: Path, wanted: str) -> TableFile:
    key = format_of(path.name) if wanted == AUTO else wanted
    if key is None:
        raise DataError(
            thing=path,
            problem="has a name that says no kind of table",
            expected=names_of_table_formats(),
            todo="--format says what it is.",
        )
    return TableFile(path=path, format=key)


def _files_in(folder: Path, wanted: str) -> Iterator[TableFile]:
    """Yield the files of a folder by name; hidden ones and marks (_SUCCESS) are none.

    Raises
    ------
    DataError
        If there are none, or something else among them, whose rows would be missing.
    """
    with storage_errors(folder):
        files = sorted(
            path for path in folder.iterdir() if not path.name.startswith((".", "_"))
        )
    if not files:
        raise DataError(thing=folder, problem="holds no files", expected="tables")
    for path in files:
        if not path.is_file():
            said = "a folder" if path.is_dir() else "no file"
            raise DataError(
                thing=path,
                problem=f"is {said} within a folder that --source names",
                expected="nothing but files in it",
                todo="Give the files themselves, or folders that hold files alone, with "
                "commas between them; what begins with _ or . is left out.",
            )
    yield from (_file(path, wanted) for path in files)


def _saved_in(folder: Path) -> list[Path]:
    """Return the Arrow files of a saved data set, in the order of its rows.

    How many rows dataset_info.json tells is no witness: of a data set that was filtered it
    is those of the whole. That all are there follows from the list, and the mark at the end
    of each file.
    """
    state = cast("dict[str, object]", read_json(folder / _SAVED_STATE))
    listed = state.get("_data_files")
    names = [
        one.get("filename") for one in (listed if isinstance(listed, list) else [])
    ]
    is_listed = bool(names) and all(
        isinstance(name, str) and name == Path(name).name for name in names
    )
    if not is_listed or state.get("_indices_data_files"):
        raise DataError(
            thing=folder / _SAVED_STATE,
            problem="lists no data files, or an order of rows apart from them",
            expected="what save_to_disk writes",
            todo="Save the data set again, after flatten_indices().",
        )
    files = [folder / str(name) for name in names]
    for file in files:
        if not file.is_file():
            raise DataError(
                thing=file,
                problem="is not there",
                expected=f"each file that {folder / _SAVED_STATE} lists",
                todo="Copy the saved data set anew, with all of its files.",
            )
    return files


def stamp_of_file(path: Path) -> list[int]:
    """Return what changes whenever a file is written or replaced."""
    with storage_errors(path):
        status = path.stat()
    return [
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ]


class UnchangedFiles:
    """The files of a run, as they were when it began.

    Parameters
    ----------
    known
        Of each file its stamp and fingerprint, as `state` gave them; empty at first.
    """

    def __init__(
        self, files: Sequence[TableFile], known: Sequence[tuple[list[int], str]]
    ) -> None:
        self._files = files
        self._known: list[tuple[list[int], str]] = []
        for index, file in enumerate(files):
            stamp = stamp_of_file(file.path)
            if index < len(known) and known[index][0] == stamp:
                self._known.append((stamp, known[index][1]))
                continue
            content = fingerprint(file.path)
            if index < len(known) and known[index][1] != content:
                raise _changed(file)
            self._known.append((stamp, content))

    def state(self) -> list[list[object]]:
        """Return what the next attempt is to know, as JSON values."""
        return [[stamp, content] for stamp, content in self._known]

    def refuse_changed(self, index: int) -> None:
        """Refuse to go on with a file that was touched since.

        Raises
        ------
        DataError
            Naming it.
        """
        file = self._files[index]
        if not file.path.exists() or stamp_of_file(file.path) != self._known[index][0]:
            raise _changed(file)

    def identities(self) -> list[str]:
        """Return the fingerprints of all files."""
        return [content for _, content in self._known]


def _changed(file: TableFile) -> DataError:
    return DataError(
        thing=file.path,
        problem="changed while it was read",
        expected="the file as it was when the run began",
        todo="With it back the same command continues; --restart takes it as it is now.",
    )


@contextmanager
def opened_bytes(path: Path, position: int) -> Iterator[IO[bytes]]:
    """Open a file, or what a gzip file holds, at a position of its bytes.

    Raises
    ------
    DataError
        If a gzip file is damaged or cut short.

    Notes
    -----
    Of a gzip file all before the position is unpacked again.
    """
    with storage_errors(path), path.open("rb") as raw:
        is_gzip = raw.read(2) == _GZIP_MAGIC
        raw.seek(0)
        stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if is_gzip else raw
        try:
            stream.seek(position)
            yield stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise DataError(
                thing=path,
                problem=f"cannot be unpacked ({error})",
                expected="a whole gzip file",
            ) from error

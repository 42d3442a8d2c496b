"""What was copied so far, on the disk: the only place that opens the ledger.

A small SQLite database: it outlives a kill at any moment, and a source of a million
files is looked up in it, file by file, without being held in memory.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from lowmem.base.errors import StorageError
from lowmem.base.errors_staging import StagingPlaceError
from lowmem.base.files import remove
from lowmem.staging.copy_plan import Known, Stamp
from lowmem.staging.survey import Seen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_FORMAT = 1
_IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)
_PAGE = "SELECT * FROM seen {where} ORDER BY name LIMIT ?"
_PAGE_ROWS = 256
_TABLES = """
CREATE TABLE settings (block_bytes INTEGER);
CREATE TABLE seen (name BLOB PRIMARY KEY, size INTEGER, changed_ns INTEGER, path BLOB)
    WITHOUT ROWID;
CREATE TABLE copied (name BLOB PRIMARY KEY, size INTEGER, changed_ns INTEGER,
    is_whole INTEGER, sha256 BLOB) WITHOUT ROWID;
CREATE TABLE blocks (name BLOB, number INTEGER, sha256 BLOB,
    PRIMARY KEY (name, number)) WITHOUT ROWID;
"""


class Ledger:
    """The files of a source as they were seen last, and what was copied of each."""

    def __init__(self, rows: sqlite3.Connection) -> None:
        self._rows = rows

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, block_bytes: int) -> Iterator[Ledger]:
        """Hold the ledger at ``path``; one that cannot be used is begun anew.

        Raises
        ------
        StagingPlaceError
            If another process holds it.
        """
        with _ledger_errors(path), closing(_connected(path, block_bytes)) as rows:
            yield cls(rows)

    # --- the source

    def note_seen(self, files: Iterable[Seen]) -> None:
        """Take these files for the whole source."""
        values = (
            (one.name, one.stamp.size_bytes, one.stamp.changed_ns, one.path)
            for one in files
        )
        with self._rows:
            self._rows.execute("BEGIN")
            self._rows.execute("DELETE FROM seen")
            self._rows.executemany("INSERT INTO seen VALUES (?, ?, ?, ?)", values)

    def seen(self) -> Iterator[Seen]:
        """Yield the files of the source, in the byte order of their names."""
        # A page at a time: a query under way would let the log of changes grow.
        page = self._rows.execute(_PAGE.format(where=""), (_PAGE_ROWS,)).fetchall()
        while page:
            for name, size, changed_ns, path in page:
                stamp = Stamp(size_bytes=size, changed_ns=changed_ns)
                yield Seen(name=name, stamp=stamp, path=path)
            after = (page[-1][0], _PAGE_ROWS)
            page = self._rows.execute(
                _PAGE.format(where="WHERE name > ?"), after
            ).fetchall()

    def leave_out(self, name: bytes) -> None:
        """Take a file for no part of the source."""
        self.forget(name)
        self._rows.execute("DELETE FROM seen WHERE name = ?", (name,))

    def seen_totals(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes."""
        totals = "SELECT count(*), coalesce(sum(size), 0) FROM seen"
        n_files, n_bytes = self._rows.execute(totals).fetchone()
        return n_files, n_bytes

    # --- the copy

    def known(self, name: bytes) -> Known | None:
        """Return what was copied of a file before."""
        found = self._rows.execute(
            "SELECT size, changed_ns, is_whole FROM copied WHERE name = ?", (name,)
        ).fetchone()
        if found is None:
            return None
        counted = "SELECT count(*) FROM blocks WHERE name = ?"
        return Known(
            stamp=Stamp(size_bytes=found[0], changed_ns=found[1]),
            n_blocks=self._rows.execute(counted, (name,)).fetchone()[0],
            is_whole=bool(found[2]),
        )

    def begin(self, seen: Seen) -> None:
        """Forget what was copied of a file: its copy begins."""
        self.forget(seen.name)
        self._rows.execute(
            "INSERT INTO copied VALUES (?, ?, ?, 0, NULL)",
            (seen.name, seen.stamp.size_bytes, seen.stamp.changed_ns),
        )

    def forget(self, name: bytes) -> None:
        """Forget a file."""
        self._rows.execute("DELETE FROM copied WHERE name = ?", (name,))
        self._rows.execute("DELETE FROM blocks WHERE name = ?", (name,))

    def cut(self, name: bytes, n_blocks: int) -> None:
        """Forget all blocks of a file but the first: the others are to be copied."""
        with self._rows:
            self._rows.execute("BEGIN")
            self._rows.execute(
                "DELETE FROM blocks WHERE name = ? AND number >= ?", (name, n_blocks)
            )
            self._rows.execute(
                "UPDATE copied SET is_whole = 0, sha256 = NULL WHERE name = ?", (name,)
            )

    def note_block(self, name: bytes, number: int, digest: bytes) -> None:
        """Keep the SHA-256 of a block as it was read from the source."""
        self._rows.execute(
            "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", (name, number, digest)
        )

    def block(self, name: bytes, number: int) -> bytes | None:
        """Return the SHA-256 of a block as it was read from the source."""
        found = self._rows.execute(
            "SELECT sha256 FROM blocks WHERE name = ? AND number = ?", (name, number)
        ).fetchone()
        return found and bytes(found[0])

    def note_whole(self, name: bytes) -> None:
        """Keep that all of a file was copied."""
        self._rows.execute("UPDATE copied SET is_whole = 1 WHERE name = ?", (name,))

    def note_checked(self, name: bytes, digest: bytes) -> None:
        """Keep the SHA-256 of a whole copy, as it was read back."""
        self._rows.execute(
            "UPDATE copied SET sha256 = ? WHERE name = ?", (digest, name)
        )

    def gone(self) -> list[bytes]:
        """Return the files that were copied and are no longer in the source."""
        rows = self._rows.execute(
            "SELECT name FROM copied WHERE name NOT IN (SELECT name FROM seen)"
        )
        return [name for (name,) in rows]

    def checked(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield name and SHA-256 of every checked copy, in the order of the names."""
        yield from self._rows.execute(
            "SELECT name, sha256 FROM copied WHERE sha256 IS NOT NULL ORDER BY name"
        )


@contextmanager
def _ledger_errors(path: Path) -> Iterator[None]:
    """Turn what the database reports into errors of the place or the disk."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code in _IN_USE:
            raise StagingPlaceError(
                target=path.parent,
                problem="is in use by another process, expected one at a time",
                todo="Wait for it, stop it, or give another DESTINATION",
            ) from error
        if code in _DAMAGED:
            raise StagingPlaceError(
                target=path.parent,
                problem=f"is damaged ({error}), expected what was written",
                todo="Remove it, and the same command copies from the start",
            ) from error
        raise StorageError(path=path, problem=str(error)) from error


def _connected(path: Path, block_bytes: int) -> sqlite3.Connection:
    """Return the ledger; one that is none, or of another kind, is begun anew."""
    try:
        return _prepared(path, block_bytes)
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", _DAMAGED[0]) not in _DAMAGED:
            raise
    for ending in ("", "-wal", "-shm"):
        remove(path.with_name(path.name + ending))
    return _prepared(path, block_bytes)


def _prepared(path: Path, block_bytes: int) -> sqlite3.Connection:
    """Return the ledger, held by this process, and with its tables."""
    rows = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        # Held until the process ends, however it does. No wait for the disk: the copy
        # is read back as a whole before it counts.
        rows.execute("PRAGMA locking_mode = EXCLUSIVE")
        rows.execute("PRAGMA journal_mode = WAL")
        rows.execute("PRAGMA synchronous = NORMAL")
        rows.execute("BEGIN EXCLUSIVE")
        version = rows.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            for statement in _TABLES.split(";"):
                rows.execute(statement)
            rows.execute("INSERT INTO settings VALUES (?)", (block_bytes,))
            rows.execute(f"PRAGMA user_version = {_FORMAT}")
        found = rows.execute("SELECT block_bytes FROM settings").fetchone()
        rows.execute("COMMIT")
        if version not in {0, _FORMAT} or found != (block_bytes,):
            raise sqlite3.DatabaseError(f"format {version}, blocks of {found}")
    except sqlite3.Error:
        rows.close()
        raise
    return rows

"""What shards write for each other and read: markers, rows of blocks, their recipe.

One board belongs to one recipe of one job. Blocks lie in groups, a folder each, so that
the listing which a claimant needs does not grow with the job.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError, StorageError
from lowmem.shards.claims import BoardView, is_done
from lowmem.shards.markers import BlockAttempt, Claim, Output, Void

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from hashlib import _Hash

    from lowmem.base.clock import Clock
    from lowmem.shards.storage import Storage

# Blocks whose markers lie in one folder.
GROUP = 256
# A name that no job has: see `lowmem.base.containment`.
_BLOCKS = "blocks.shared"
_RECIPE, _MERGED = "recipe.", "merged."
# seconds between two looks at what a marker vouches for and storage does not give yet.
_PATIENCE_S = (0.2, 1.0, 3.0)
# Recipes, and what made an output, are some kilobytes.
_MOST_BYTES = 2**20


class Board:
    """The shared folder of one recipe; remembers what it wrote, which is listed late."""

    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        self._own: dict[str, set[str]] = {}

    # --- markers ------------------------------------------------------------------

    def view(self, group: int) -> BoardView:
        """Return what is known of the blocks of one group."""
        folder = f"{_BLOCKS}/{group:05d}"
        return BoardView.of([*self._storage.names(folder), *self._own.get(folder, ())])

    def whole_view(self) -> BoardView:
        """Return what is known of all blocks.

        Notes
        -----
        Memory: some 500 bytes a block.
        """
        names: list[str] = []
        for folder in sorted({*self._storage.names(_BLOCKS)}):
            names += self._storage.names(f"{_BLOCKS}/{folder}")
        for own in self._own.values():
            names += own
        return BoardView.of(names)

    def claim(
        self, block: int, *, n_blocks: int, number: int, lease_s: int, holder: str
    ) -> Claim:
        """Say that a block is being worked on."""
        attempt = BlockAttempt(block, n_blocks, number, _token())
        claim = Claim(attempt, lease_s, holder)
        self._mark(attempt, str(claim), b"")
        return claim

    def void(self, output: Output) -> None:
        """Say that an output is damaged: its block is to be made again."""
        self._mark(output.attempt, str(Void(output.attempt)), b"")

    def _mark(self, attempt: BlockAttempt, name: str, data: bytes) -> None:
        folder = _folder_of(attempt)
        self._storage.create(f"{folder}/{name}", [data])
        self._own.setdefault(folder, set()).add(name)

    # --- rows ---------------------------------------------------------------------

    def publish(
        self,
        claim: Claim,
        parts: Sequence[bytes | memoryview],
        *,
        made_by: bytes = b"",
    ) -> bool:
        """Write what was made of a block, and say so; False where another's counts.

        Its marker comes once the rows were read back. A claimant that was stopped past its
        lease finds the other's output, and leaves nothing.

        Parameters
        ----------
        parts
            The bytes of the output, one behind the other.
        made_by
            What made it, in words for people: no part of the output.

        Raises
        ------
        StorageError
            If what is read back is not what was written.
        """
        attempt = claim.attempt
        group = attempt.block // GROUP
        if is_done(self.view(group), attempt.block):
            return False
        file = f"{_folder_of(attempt)}/{attempt.file}"
        digest, n_bytes = _sha256(), 0
        for part in parts:
            digest.update(part)
            n_bytes += len(part)
        self._storage.create(file, parts)
        output = Output(attempt, n_bytes, digest.hexdigest())
        if not self._is_whole(output, lambda _: None):
            raise StorageError(path=file, problem="it does not give back what it took")
        if is_done(self.view(group), attempt.block):
            self._storage.remove(file)
            return False
        self._mark(attempt, str(output), made_by)
        return True

    def rows(self, output: Output) -> bytes | None:
        """Return the bytes of an output; None where they are not what was written."""
        pieces: list[bytes] = []
        if not self._is_whole(output, pieces.append, pieces.clear):
            return None
        return b"".join(pieces)

    def made_by(self, output: Output) -> bytes:
        """Return what made an output, as far as it is told."""
        return self._short(f"{_folder_of(output.attempt)}/{output}") or b""

    def _short(self, name: str) -> bytes | None:
        """Return a small file; None of one that cannot be read, or is none of ours."""
        data = b""
        try:
            for piece in self._storage.read(name):
                data += piece
                if len(data) > _MOST_BYTES:
                    return None
        except (OSError, DataError):
            return None
        return data

    def _is_whole(
        self,
        output: Output,
        take: Callable[[bytes], None],
        forget: Callable[[], None] = lambda: None,
    ) -> bool:
        """Read an output piece by piece; return whether it is what was written.

        Parameters
        ----------
        take, forget
            Takes a piece; forgets all of them, before they are read once more.
        """
        name = f"{_folder_of(output.attempt)}/{output.attempt.file}"
        for pause_s in (*_PATIENCE_S, None):
            digest, n_bytes = _sha256(), 0
            forget()
            with suppress(FileNotFoundError, DataError):
                for piece in self._storage.read(name):
                    digest.update(piece)
                    n_bytes += len(piece)
                    take(piece)
            if (n_bytes, digest.hexdigest()) == (output.n_bytes, output.sha256):
                return True
            if pause_s is not None:
                self._clock.sleep(pause_s)
        return False

    # --- the whole ----------------------------------------------------------------

    def tell_recipe(self, data: bytes) -> None:
        """Keep the recipe that this board is of, unless it can be read here already."""
        if not any(known == data for known in self.recipes()):
            self._storage.create(f"{_RECIPE}{_token()}", [data])

    def recipes(self) -> Iterator[bytes]:
        """Yield each copy of the recipe; one that is being written may be torn."""
        for name in self._storage.names(""):
            if name.startswith(_RECIPE) and (data := self._short(name)) is not None:
                yield data

    @property
    def is_merged(self) -> bool:
        """Whether all blocks were put together, and published."""
        return any(name.startswith(_MERGED) for name in self._storage.names(""))

    def merged(self) -> None:
        """Say so, and remove the rows. Markers stay: a stale claimant looks for them."""
        if not self.is_merged:
            self._storage.create(f"{_MERGED}{_token()}", [b""])
        for folder in self._storage.names(_BLOCKS):
            for name in self._storage.names(f"{_BLOCKS}/{folder}"):
                if name.endswith(".block"):
                    self._storage.remove(f"{_BLOCKS}/{folder}/{name}")


def _folder_of(attempt: BlockAttempt) -> str:
    return f"{_BLOCKS}/{attempt.block // GROUP:05d}"


def _token() -> str:
    return os.urandom(8).hex()


def _sha256() -> _Hash:
    import hashlib  # noqa: PLC0415 - see `lowmem.checkpoints.manifest`

    return hashlib.sha256()

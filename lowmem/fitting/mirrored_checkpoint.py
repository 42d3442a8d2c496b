"""The commits of one training: a `Checkpoint`, and copies of its commits in a second folder.

A copy is a generation's folder as it is, named once it is whole. Where it is found
damaged, or the other side is further, nothing has to be known beside numbers and checksums.
"""

from __future__ import annotations

import shutil
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowmem.base.errors import CorruptFileError, StorageError, UsageError
from lowmem.base.files import make_folder, remove, rename, storage_errors, sync_tree
from lowmem.base.workspace import path_from_text
from lowmem.checkpoints.generations import generation_path, generations, newest_whole
from lowmem.checkpoints.retention import expired_generations
from lowmem.loops.checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPORARY = "tmp"


class MirroredCheckpoint:
    """A checkpoint that is opened when it is needed, and its copies.

    Parameters
    ----------
    mirror
        A folder; None for no copies.
    options
        Of `Checkpoint`.
    """

    def __init__(
        self,
        folder: Path | str,
        mirror: Path | str | None,
        **options: Any,  # noqa: ANN401 - those of another class
    ) -> None:
        if mirror is not None and "://" in str(mirror):
            raise UsageError(
                f"mirror is {mirror}, expected a folder, such as one on a mounted Drive. "
                "For other places run the script by lowmem exec --mirror."
            )
        self._given = folder
        self._mirror = None if mirror is None else path_from_text(mirror)
        self._options = options
        self._open: Checkpoint | None = None
        self._is_told = False

    @property
    def folder(self) -> Path:
        """Where the commits are; as it was given until it has been opened."""
        return Path(self._given) if self._open is None else self._open.folder

    @property
    def stopping(self) -> bool:
        """Whether the training is to commit and end."""
        return self._checkpoint.stopping

    @property
    def _checkpoint(self) -> Checkpoint:
        if self._open is None:
            self.open()
        assert self._open is not None  # noqa: S101 - it has just been opened
        return self._open

    def open(self) -> None:
        """Take the folder, and what its mirror has more; a second call does nothing."""
        if self._open is None:
            self._open = Checkpoint(self._given, **self._options)
            self._take_from_mirror()

    def close(self) -> None:
        """Let the folder go."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def entry(self, name: str) -> Any:  # noqa: ANN401
        """Return one entry of the newest commit, or None."""
        return self._checkpoint.entry(name)

    def restore(self, state: Mapping[str, Any]) -> Any:  # noqa: ANN401
        """Return the newest commit, put into ``state``."""
        return self._checkpoint.restore(state)

    def commit(self, state: Mapping[str, Any]) -> None:
        """Commit, then copy. A mirror that fails is told once, and the training goes on."""
        self._checkpoint.commit(state)
        if self._mirror is None:
            return
        try:
            self._send(self._mirror)
        except StorageError as error:
            if not self._is_told:
                warnings.warn(
                    f"the mirror lacks commits: {error}", RuntimeWarning, stacklevel=2
                )
            self._is_told = True

    def forget(self) -> None:
        """Delete all commits, here and in the mirror; what else lies there stays."""
        self.open()
        for folder in self._folders():
            for number in generations(folder):
                remove(generation_path(folder, number))
        self.close()

    def _folders(self) -> list[Path]:
        return [self.folder, *([self._mirror] if self._mirror is not None else [])]

    def _take_from_mirror(self) -> None:
        if self._mirror is None or not self._mirror.exists():
            return
        held = generations(self.folder)
        # What is damaged there is no reason not to train.
        with suppress(CorruptFileError):
            newest = newest_whole(self._mirror)
            if newest and newest.manifest.generation > max(held, default=-1):
                _copy(newest.path, self.folder)

    def _send(self, mirror: Path) -> None:
        # The newest of them, as it was committed a moment ago.
        number = max(generations(self.folder))
        _copy(generation_path(self.folder, number), mirror)
        keep = self._options.get("keep")
        for expired in expired_generations(
            generations(mirror), **({"keep": keep} if keep else {})
        ):
            remove(generation_path(mirror, expired))


def _copy(generation: Path, folder: Path) -> None:
    """Copy a generation into a folder, whole or not at all."""
    temporary = folder / _TEMPORARY
    remove(temporary)
    make_folder(folder)
    with storage_errors(temporary):
        shutil.copytree(generation, temporary)
    sync_tree(temporary)
    final = folder / generation.name
    remove(final)
    rename(temporary, final)

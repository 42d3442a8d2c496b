"""What the worker keeps with each commit beside the job's own state.

Places in the arrays that the job goes through, and sizes of the files that it appends to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem.base.containment import place_in
from lowmem.worker.appended import AppendedFile
from lowmem.worker.named_state import VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# Keys in the state of a commit.
PLACES, SIZES = "lowmem_rows", "lowmem_bytes"
_OURS = {PLACES, SIZES, VALUES}


class CommitExtras:
    """What was kept at the last commit, and is to be at the next.

    Parameters
    ----------
    state
        Of the last commit.

    Attributes
    ----------
    own
        What of it is the job's own.
    places
        Rows that were gone through, by the name of the pass.
    """

    def __init__(self, state: Mapping[str, Any]) -> None:
        self.own = {k: v for k, v in state.items() if k not in _OURS}
        self.places: dict[str, int] = dict(state.get(PLACES, {}))
        self._sizes: dict[str, int] = dict(state.get(SIZES, {}))
        self._files: dict[str, AppendedFile] = {}
        self._counted = sum(self.places.values())

    def appended(self, staging: Path, name: str) -> AppendedFile:
        """Return the file of that name in ``staging``, as the last commit left it."""
        if name not in self._files:
            path = place_in(staging, name)
            self._files[name] = AppendedFile(path, self._sizes.get(name, 0))
        return self._files[name]

    def new_rows(self) -> int:
        """Return the rows that were gone through since this was last asked."""
        before, self._counted = self._counted, sum(self.places.values())
        return self._counted - before

    def synced(self) -> list[str]:
        """Return the names of the files that were appended to, each on the disk by now."""
        for file in self._files.values():
            file.sync()
        return sorted(self._files)

    def state_with(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a commit is to keep, once the files are on the disk."""
        self._sizes |= {name: file.sync() for name, file in self._files.items()}
        kept = {PLACES: dict(self.places), SIZES: dict(self._sizes)}
        return {**state, **{key: value for key, value in kept.items() if value}}

    def end(self) -> None:
        """Close the files: their last bytes are the system's."""
        for file in self._files.values():
            file.close()

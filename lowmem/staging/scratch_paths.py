"""Where the parts of a staging lie.

```
 DESTINATION/NAME                       the copy
 DESTINATION/.staging/NAME.sha256       for `sha256sum -c`, from within DESTINATION
 DESTINATION/.staging/NAME/ledger       what was copied, with the SHA-256 of each block
 DESTINATION/.staging/NAME/copy         the copy in the making
```
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowmem.base.errors import DataError
from lowmem.base.errors_staging import StagingPlaceError
from lowmem.staging.copy_plan import place_problem
from lowmem.staging.survey import stamp_from_status

if TYPE_CHECKING:
    from pathlib import Path

    from lowmem.staging.copy_plan import Stamp
    from lowmem.staging.survey import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The places of one staging; absolute, without links.

    Attributes
    ----------
    source, target
        What is copied; the copy.
    private
        Folder of the ledger and of the copy in the making.
    checksums
        The SHA-256 of every file of the copy.
    """

    source: Path
    target: Path
    private: Path
    checksums: Path

    @classmethod
    def at(cls, source: Path, folder: Path) -> Places:
        """Return the places for a copy of ``source`` in ``folder``.

        Raises
        ------
        DataError
            If the source is not there.
        StagingPlaceError
            If the copy cannot be there.
        """
        name = source.absolute().name
        if not source.exists() or not name:
            raise DataError(
                thing=source,
                problem="is not there" if name else "has no name",
                expected="a file or folder to copy",
                todo="Is the drive mounted?",
            )
        private = folder.resolve() / ".staging"
        places = cls(
            source=source.resolve(),
            target=folder.resolve() / name,
            private=private / name,
            checksums=private / f"{name}.sha256",
        )
        problem = place_problem(places.source, places.target)
        if problem:
            raise StagingPlaceError(
                target=places.target,
                problem=f"{problem}, expected a place of its own for the copy",
                todo="Give another DESTINATION",
            )
        return places

    @property
    def draft(self) -> Path:
        """The copy in the making."""
        return self.private / "copy"

    def draft_of(self, seen: Seen) -> Path:
        """Return where the copy of a file is made."""
        return below(self.draft, seen.name)

    def target_of(self, seen: Seen) -> Path:
        """Return where the copy of a file lies at last."""
        return below(self.target, seen.name)


def below(folder: Path, name: bytes) -> Path:
    """Return a path whose name may be no text."""
    return folder / os.fsdecode(name)


def stamp_here(path: Path) -> Stamp | None:
    """Return by what a copy is known again; None where there is none."""
    try:
        return stamp_from_status(path.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return None

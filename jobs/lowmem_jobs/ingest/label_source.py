"""Where labels come from, other than from folders: one way for tables and sidecars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lowmem_jobs.ingest.joined_labels import JoinedLabels
from lowmem_jobs.ingest.label_choice import LabelChoice
from lowmem_jobs.ingest.sidecar_labels import SidecarLabels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lowmem_jobs.ingest.entries import ImageSource
    from lowmem_jobs.ingest.folder_labels import Labels
    from lowmem_jobs.ingest.label_choice import SidecarChoice


class LabelSource(Protocol):
    """Labels that must be there for every picture that is stored."""

    @property
    def sha256(self) -> str:
        """Of the table; empty where the source itself holds the labels."""
        ...

    def refuse_other(self, sha256: str) -> None:
        """Refuse a table that is not the one that an ingest was begun with.

        Parameters
        ----------
        sha256
            Of that one; empty where the ingest begins.

        Raises
        ------
        DataError
            If it is another one.
        """
        ...

    @property
    def attributes(self) -> dict[str, Any]:
        """What the group of a store says of where its labels come from."""
        ...

    def refuse_unclear(self, source: ImageSource) -> int:
        """Refuse a source that does not fit, before the work; before all else.

        Returns
        -------
        n_without
            How many files have no label: none of them may turn out to be a picture.

        Raises
        ------
        DataError
            If names tell that a label could be that of another picture.
        """
        ...

    def refuse_unlabelled(self, names: Iterable[str]) -> None:
        """Refuse a picture that was read and has no label, by its name.

        Raises
        ------
        DataError
            If there is one.
        """
        ...

    def labels(self, names: Iterable[str]) -> Labels:
        """Return the label of each stored row, from the rows' names.

        Raises
        ------
        DataError
            If one has none.
        """
        ...

    def line(self, labels: Labels) -> str:
        """Return what is said of them when they are written."""
        ...


def label_source(choice: LabelChoice | SidecarChoice | None) -> LabelSource | None:
    """Return where labels come from; None: from folders.

    Raises
    ------
    DataError
        If a table cannot be used.
    """
    if choice is None:
        return None
    if isinstance(choice, LabelChoice):
        return JoinedLabels(choice)
    return SidecarLabels(choice)

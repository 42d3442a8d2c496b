"""What a store holds before more images are appended: from its JSON; standard library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lowmem.base import DataError, OptionValueError, UsageError, read_json
from lowmem.stores import find_images, is_same_data, read_array_info
from lowmem_jobs.ingest.formats import SHARDS
from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.ingest_recipe import (
    Recipe,
    array_option,
    crop_from_text,
    source_from_text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = "lowmem-images"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExistingStore:
    """A store to which images are to be appended.

    Attributes
    ----------
    store
        Its folder.
    n_rows, chunk_rows, size
        Its images, those in one chunk, and their height and width.
    attributes
        Of its group: where its images came from.
    """

    store: Path
    n_rows: int
    chunk_rows: int
    size: int
    attributes: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The chain of digests over all its images."""
        return str(self.attributes["content_sha256"])

    @property
    def sources(self) -> list[dict[str, Any]]:
        """What its images came from, in the order of its rows."""
        first = {"source": self.attributes.get("source"), "images": self.n_rows}
        listed: list[dict[str, Any]] = self.attributes.get("sources", [first])
        return listed

    @property
    def crop(self) -> str:
        """How its images were cut, in the words of ``--crop``."""
        return str(self.attributes.get("crop", "none"))

    @property
    def has_shards(self) -> bool:
        """Whether some of its images came from archives that their names begin with."""
        listed = [self.attributes, *self.sources]
        return any(source.get("kind") == SHARDS for source in listed)

    def appended(self, identity: str, recipe: Recipe) -> dict[str, Any] | None:
        """Return what is listed of an appended source; None if it is not there."""
        asked = (recipe.limit, recipe.array, recipe.keeps_truncated)
        for listed in self.sources:
            known = str(listed.get("identity", ""))
            taken = (
                listed.get("limit"),
                listed.get("array"),
                listed.get("truncated") == "keep",
            )
            if is_same_data(known, identity) and taken == asked:
                return listed
        return None


def read_before(store: Path) -> ExistingStore:
    """Return what a store holds.

    Raises
    ------
    DataError
        If nothing can be appended to it: `ingest` did not make it, or drew its faces.
    """
    images = find_images(store)
    info = read_array_info(store / "images")
    attributes = _attributes(store)
    problem = ""
    if info is None or attributes.get("format") != FORMAT:
        problem = "was not made by ingest"
    elif (store / "features").exists():
        problem = "holds drawn faces, with the numbers that they were drawn from"
    labels = attributes.get("labels")
    if isinstance(labels, dict):
        raise DataError(
            thing=store,
            problem=f"has labels of {labels.get('table', 'files beside the pictures')}",
            expected="a store without labels, or with those of folders: what is "
            "appended would have none",
            todo="Ingest all images at once, with --labels.",
        )
    if info is None or problem:
        raise DataError(
            thing=store,
            problem=problem or "was not made by ingest",
            expected="a store that ingest made of a folder, an archive or an array",
        )
    return ExistingStore(
        store=store,
        n_rows=images.n_images,
        chunk_rows=info.chunk_shape[0],
        size=images.shape[1],
        attributes=attributes,
    )


def _attributes(store: Path) -> Mapping[str, Any]:
    try:
        document = read_json(store / "zarr.json")
    except (OSError, ValueError):
        return {}
    found = document.get("attributes") if isinstance(document, dict) else None
    return found if isinstance(found, dict) else {}


def recipe_after(before: ExistingStore, options: Mapping[str, Any]) -> Recipe:
    """Return what an append is to make: framed, packed and cut as the store is.

    Raises
    ------
    OptionValueError
        If a size or crop is asked for that is not the store's.
    UsageError
        If no source is given, or faces are to be drawn.
    DataError
        If the source is not there or of no known kind.
    """
    if options["source"] is None:
        raise UsageError(
            "--source is missing, expected what is to be appended: a folder, .zip, "
            ".tar(.gz), .npy, .npz or .zarr."
        )
    kind, path, _ = source_from_text(options["source"])
    if path is None:
        raise UsageError(
            "--source faces:N cannot be appended: drawn faces are numbered from the "
            "first. Draw more at once: lowmem run ingest --source faces:N."
        )
    for name, found in (("size", before.size), ("crop", before.crop)):
        if options[name] not in {None, found}:
            raise OptionValueError(
                option=f"--{name}",
                value=options[name],
                expected=f"{found!r}, as the images of {before.store} have; or leave "
                "it out",
            )
    return Recipe(
        kind=kind,
        path=path,
        n_faces=0,
        frame=Framing(size=before.size, crop=crop_from_text(before.crop)),
        limit=options["limit"],
        codec=before.attributes.get("codec", "none"),
        wanted_rows=before.chunk_rows,
        array=array_option(options, kind),
        keeps_truncated=options.get("truncated") == "keep",
    )

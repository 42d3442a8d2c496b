"""The work of `append`: the store as it is, and then the images of one more source.

The new store is built beside the old one. Its whole chunks are the old ones' files
under a second name, since no chunk is ever written again; images that did not fill a
chunk wait, as in any ingest, for those that follow. Readers see the old store until the
new one is renamed to its place.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem import Result
from lowmem.base import make_folder, storage_errors, sync_file
from lowmem.stores import RowReader, read_array_info
from lowmem_jobs.ingest.decode_ahead import DecodeOutcome
from lowmem_jobs.ingest.entries import TAKEN, Entry, name_hash, printable
from lowmem_jobs.ingest.existing_store import read_before, recipe_after
from lowmem_jobs.ingest.folder_labels import known_classes
from lowmem_jobs.ingest.formats import SHARDS
from lowmem_jobs.ingest.ingest_progress import IngestProgress
from lowmem_jobs.ingest.ingest_recipe import source_bytes, source_identity
from lowmem_jobs.ingest.report import REPORT
from lowmem_jobs.ingest.unreadable import UnreadableError
from lowmem_jobs.ingest.work import pack_source

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem import CommitPoint, Context
    from lowmem_jobs.ingest.entries import ImageSource
    from lowmem_jobs.ingest.existing_store import ExistingStore
    from lowmem_jobs.ingest.framing import Pixels

_BLOCK_ROWS = 4096


def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
    """Make ``images.zarr`` and ``ingest-report.csv`` anew, with more images."""
    before = read_before(ctx.workspace.images)
    recipe = recipe_after(before, ctx.options)
    identity = source_identity(recipe, ctx.workspace.root)
    if before.appended(identity, recipe) is not None:
        ctx.log(f"{recipe.title} is appended already")
        return Result()
    names, hashes = _rest_names(before), _hashes(before)
    made = yield from pack_source(
        ctx,
        recipe,
        IngestProgress(**ctx.state) if ctx.state else _begun(ctx, before),
        first=None if ctx.state else _rest(before, names),
        joined=lambda source: _AfterStore(source, names=names, hashes=hashes),
    )
    done = made.done
    if done.n_stored == before.n_rows:
        others = done.n_skipped - done.n_taken
        ctx.log(
            f"nothing new: {done.n_taken} images of {recipe.title} are in the store "
            f"already, by their names; {others} others could not be stored"
        )
        return Result()
    added: dict[str, Any] = {
        "source": recipe.title,
        "images": done.n_stored - before.n_rows,
        "skipped": done.n_skipped,
        "identity": identity,
        "source_bytes": source_bytes(recipe, ctx.workspace.root),
        "source_sha256": made.source_sha256,
        "limit": recipe.limit,
        **recipe.listed,
        "after": before.digest,
    }
    sources = [*before.sources, added]
    known = known_classes(before.store)
    labels = made.pack.finish(
        {
            **before.attributes,
            "images": done.n_stored,
            "content_sha256": done.digest,
            "sources": sources,
        },
        [int(source["images"]) for source in sources],
        known,
        has_classes=recipe.kind != SHARDS and not before.has_shards,
    )
    n_classes = 0 if labels is None else len(labels.class_names)
    if len(known) != n_classes:
        ctx.log(f"labels: {n_classes} classes, formerly {len(known)}")
    summary = {**added, "content_sha256": done.digest}
    return Result(publish=["images.zarr", REPORT], summary=summary)


class _AfterStore:
    """A source behind a store: its numbers below 0 are images of the store that wait."""

    def __init__(
        self, source: ImageSource, *, names: Sequence[str], hashes: NDArray[np.uint64]
    ) -> None:
        self._source = source
        self._names = names
        self._hashes = hashes
        self.decoder = source.decoder

    def __len__(self) -> int:
        return len(self._source)

    def entry(self, index: int) -> Entry:
        """Return what is known of an image, of the store's too."""
        return Entry(self._names[index]) if index < 0 else self._source.entry(index)

    def fetch(self, entry: Entry) -> Any:  # noqa: ANN401 - as the source's
        """Return an image as it is stored, unless its name is taken."""
        wanted = np.uint64(name_hash(printable(entry.name)))
        place = int(np.searchsorted(self._hashes, wanted))
        if place < len(self._hashes) and self._hashes[place] == wanted:
            raise UnreadableError(TAKEN)
        return self._source.fetch(entry)

    def load(self, stored: Any) -> Pixels:  # noqa: ANN401
        """Return the finished image."""
        return self._source.load(stored)


def _hashes(before: ExistingStore) -> NDArray[np.uint64]:
    """Return the hashes of all names in a store, sorted."""
    found = np.empty(before.n_rows, np.uint64)
    with RowReader.open(before.store, "names") as reader:
        for start in range(0, before.n_rows, _BLOCK_ROWS):
            stop = min(start + _BLOCK_ROWS, before.n_rows)
            found[start:stop] = [name_hash(str(n)) for n in reader.read(start, stop)]
    found.sort()
    return found


def _rest_names(before: ExistingStore) -> list[str]:
    if _n_whole(before) == before.n_rows:
        return []
    with RowReader.open(before.store, "names") as reader:
        return [str(name) for name in reader.read(_n_whole(before), before.n_rows)]


def _rest(before: ExistingStore, names: Sequence[str]) -> list[DecodeOutcome]:
    """Return the images that do not fill a chunk; the last has the number -1."""
    start = _n_whole(before)
    if start == before.n_rows:
        return []
    with RowReader.open(before.store, "images") as reader:
        rows = reader.read(start, before.n_rows)
    return [
        DecodeOutcome(index=place - len(rows), name=names[place], pixels=image)
        for place, image in enumerate(rows)
    ]


def _n_whole(before: ExistingStore) -> int:
    """Return how many images are in whole chunks."""
    return before.n_rows - before.n_rows % before.chunk_rows


def _begun(ctx: Context, before: ExistingStore) -> IngestProgress:
    """Take over what is whole; return where the append begins."""
    for name in ("images", "names"):
        _link_chunks(before, ctx.staging / "images.zarr", name)
    report, copy = ctx.workspace.root / REPORT, ctx.staging / REPORT
    if report.exists():
        with storage_errors(copy):
            shutil.copyfile(report, copy)
    return IngestProgress(
        n_before=before.n_rows,
        n_stored=before.n_rows,
        digest=before.digest,
        waiting=tuple(range(_n_whole(before) - before.n_rows, 0)),
        report_bytes=copy.stat().st_size if copy.exists() else 0,
    )


def _link_chunks(before: ExistingStore, store: Path, name: str) -> None:
    """Give the files of whole chunks a second name; copy where that is impossible."""
    old, new = before.store / name, store / name
    make_folder(new)
    info = read_array_info(old)
    rest = ".0" * (len(info.shape) - 1) if info is not None else ""
    for chunk in range(_n_whole(before) // before.chunk_rows):
        file = f"c.{chunk}{rest}"
        with storage_errors(new / file):
            try:
                os.link(old / file, new / file)
            except OSError:
                shutil.copyfile(old / file, new / file)
                sync_file(new / file)

"""The files of an ingest: the store and the report, written together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from lowmem.stores import RowWriter, write_group_attributes
from lowmem_jobs.ingest.faces import (
    FEATURES,
    N_FEATURES,
    true_covariance,
    true_mean,
)
from lowmem_jobs.ingest.folder_labels import (
    FEWEST_CLASSES,
    folder_of,
    write_labels,
    write_made,
)
from lowmem_jobs.ingest.ingest_recipe import (
    FACES,
    crop_option,
    source_bytes,
    source_identity,
)
from lowmem_jobs.ingest.report import REPORT, IngestReport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lowmem import Context
    from lowmem_jobs.ingest.folder_labels import Labels
    from lowmem_jobs.ingest.ingest_recipe import Recipe
    from lowmem_jobs.ingest.label_source import LabelSource

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Writers of one ingest, all standing at the same row.

    Attributes
    ----------
    store
        The group.
    images, names, features
        Its arrays: uint8 (n, size, size, 3), text (n), and for faces float64 (n, k).
    report
        What became of every entry.
    chunk
        Memory for the images of one chunk: fresh memory costs as much as the copy.
    folders
        Of the names that were written, two at most; None where an earlier process wrote
        some of them.
    """

    store: Path
    images: RowWriter
    names: RowWriter
    features: RowWriter | None
    report: IngestReport
    chunk: NDArray[np.uint8]
    folders: set[str] | None

    @classmethod
    def open(
        cls,
        folder: Path,
        recipe: Recipe,
        *,
        n_rows: int,
        report_bytes: int,
        with_features: bool,
    ) -> Pack:
        """Begin, or go on after ``n_rows`` rows and forget whatever came later."""
        store = folder / "images.zarr"
        size = recipe.frame.size

        def writer(name: str, row_shape: tuple[int, ...], dtype: str) -> RowWriter:
            return RowWriter.open(
                store,
                name,
                row_shape=row_shape,
                dtype=dtype,
                chunk_rows=recipe.chunk_rows,
                n_rows=n_rows,
                codec=recipe.codec or "none",
            )

        return cls(
            store=store,
            images=writer("images", (size, size, 3), "uint8"),
            names=writer("names", (), "str"),
            features=writer("features", (N_FEATURES,), "float64")
            if with_features
            else None,
            report=IngestReport(folder / REPORT, n_bytes=report_bytes),
            chunk=np.empty((recipe.chunk_rows, size, size, 3), np.uint8),
            folders=None if n_rows else set(),
        )

    def append(
        self,
        images: Sequence[NDArray[np.uint8]],
        names: Sequence[str],
        features: NDArray[np.float64] | None,
    ) -> None:
        """Write the next rows: one chunk, or fewer at the very end."""
        rows = self.chunk[: len(images)]
        np.stack(images, out=rows)
        self.images.append(rows)
        self.names.append(np.array(names, dtype=object))
        if self.folders is not None and len(self.folders) < FEWEST_CLASSES:
            self.folders.update(
                islice({folder_of(name) for name in names}, FEWEST_CLASSES)
            )
        if self.features is not None and features is not None:
            self.features.append(features)

    def flush(self) -> None:
        """Wait until all that was written is on the disk."""
        for writer in (self.images, self.names, self.features):
            if writer is not None:
                writer.flush()
        self.report.flush()

    def finish(
        self,
        provenance: Mapping[str, Any],
        n_rows: Sequence[int],
        known: Sequence[str] = (),
        joined: LabelSource | None = None,
        *,
        has_classes: bool = True,
    ) -> Labels | None:
        """Say in the store where it came from; all rows are written.

        Parameters
        ----------
        n_rows, known
            See `write_labels`.
        joined
            Where labels come from; None: they follow from folders.
        has_classes
            Whether folders may be classes: those that stand for archives are none.

        Returns
        -------
        labels
            None where the images have none.

        Raises
        ------
        DataError
            If a picture has no label, or the table of labels was changed.
        """
        if joined is None:
            folders = self.folders if has_classes else ()
            labels = write_labels(self.store, n_rows, known, folders)
        else:
            labels = write_made(self.store, joined.labels)
            provenance = {**provenance, **joined.attributes}
        self.images.set_attributes({"content_sha256": provenance["content_sha256"]})
        if self.features is not None:
            self.features.set_attributes(
                {
                    "names": [feature.name for feature in FEATURES],
                    "mean": true_mean().tolist(),
                    "covariance": true_covariance().tolist(),
                }
            )
        self.flush()
        title = {"format": "lowmem-images", "format_version": FORMAT_VERSION}
        write_group_attributes(self.store, {**title, **provenance})
        return labels


def provenance(
    ctx: Context, recipe: Recipe, source_sha256: str | None
) -> dict[str, object]:
    """Return which source a store was packed from, and how it was read."""
    crop = crop_option(ctx.options)
    return {
        # Only where it is not the usual one, as every store before has it.
        **({} if crop == "none" else {"crop": crop}),
        "limit": recipe.limit,
        **recipe.listed,
        "identity": source_identity(recipe, ctx.workspace.root),
        "source_bytes": source_bytes(recipe, ctx.workspace.root),
        "source_sha256": source_sha256,
        "seed": ctx.seed if recipe.kind == FACES else None,
    }

"""Open the source that a recipe names."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from lowmem_jobs.ingest.faces import FaceSource
from lowmem_jobs.ingest.formats import FORMATS
from lowmem_jobs.ingest.image_decoder import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from lowmem import Context
    from lowmem_jobs.ingest.entries import ImageSource
    from lowmem_jobs.ingest.ingest_recipe import Recipe


def open_source(recipe: Recipe, ctx: Context) -> AbstractContextManager[ImageSource]:
    """Return the source, to be entered.

    Raises
    ------
    DataError
        If the source as a whole cannot be read.
    """
    if recipe.path is None:
        return _faces(recipe, ctx.seed)
    decoder = Decoder(recipe.frame, keeps_truncated=recipe.keeps_truncated)
    return FORMATS[recipe.kind].open(recipe.path, ctx, decoder, recipe.array)


@contextmanager
def _faces(recipe: Recipe, seed: int) -> Iterator[FaceSource]:
    yield FaceSource(recipe.n_faces, seed=seed, size=recipe.frame.size)

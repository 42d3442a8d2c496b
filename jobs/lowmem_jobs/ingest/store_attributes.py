"""What a packed store says of its making, beside the summary that the report shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem_jobs.ingest.ingest_recipe import (
    FACES,
    crop_option,
    source_bytes,
    source_identity,
)

if TYPE_CHECKING:
    from lowmem import Context
    from lowmem_jobs.ingest.ingest_recipe import Recipe


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

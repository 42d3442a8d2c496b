"""The work of `ingest`: chunk by chunk from the source into the store.

Entries are taken in the order of their names. Whatever is readable is stored, the rest
is listed; one step ends when a chunk is full. The state is where the next step begins,
so an entry that was decoded ahead of a cut is simply decoded again.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lowmem.base.errors import DataError
from lowmem.protocol.job import CommitPoint, Result
from lowmem_jobs.ingest.ahead import outcomes
from lowmem_jobs.ingest.faces import FaceSource
from lowmem_jobs.ingest.pack import Pack
from lowmem_jobs.ingest.recipe import DEFAULT_SOURCE, recipe_from_options
from lowmem_jobs.ingest.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from numpy.typing import NDArray

    from lowmem.protocol.job import Context
    from lowmem_jobs.ingest.ahead import Outcome
    from lowmem_jobs.ingest.entries import Pixels, Source
    from lowmem_jobs.ingest.recipe import Recipe

_REASONS_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where an ingest stands between two chunks: all that a new process needs.

    Attributes
    ----------
    n_seen
        Entries of the source that are dealt with.
    n_stored, n_skipped
        How many of them are in the store, and how many are listed as unreadable.
    digest
        SHA-256 of the digest before and the bytes of the last image, from one image to
        the next; empty before the first. It does not depend on chunks or codec.
    report_bytes
        Length of the report.
    first_reasons
        Why the first skipped entries were, for the message should nothing be readable.
    """

    n_seen: int = 0
    n_stored: int = 0
    n_skipped: int = 0
    digest: str = ""
    report_bytes: int = 0
    first_reasons: tuple[str, ...] = ()


def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
    """Make ``images.zarr`` and ``ingest-report.csv`` of a source."""
    # Pillow warns of what it makes good; what it cannot read is listed anyway.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    recipe = recipe_from_options(ctx.options)
    if ctx.options["source"] is None:
        ctx.log(f"no --source given: taking {DEFAULT_SOURCE}, drawn faces")
    done = Progress(**ctx.state)
    with open_source(recipe, ctx) as source:
        pack = Pack.open(
            ctx.staging,
            recipe,
            n_rows=done.n_stored,
            report_bytes=done.report_bytes,
            with_features=isinstance(source, FaceSource),
        )
        n_ahead = ctx.settings.get("decode_ahead", 1)
        with outcomes(source, done.n_seen, n_ahead=n_ahead) as found:
            for chunk in _chunks(found, recipe, n_stored=done.n_stored):
                before, done = done, _store(chunk, source, pack, done)
                if not done.n_stored:
                    # Then the job will fail: no commit is to bind a corrected source.
                    break
                ctx.progress(done.n_stored, _total(source, recipe, done))
                yield CommitPoint(
                    items=done.n_stored - before.n_stored,
                    state=asdict(done),
                    flush=pack.flush,
                )
    _require_images(recipe, done)
    summary = _summary(recipe, done)
    pack.finish(summary)
    if done.n_skipped:
        ctx.log(f"{done.n_skipped} entries skipped: ingest-report.csv says why")
    return Result(publish=["images.zarr", "ingest-report.csv"], summary=summary)


def _chunks(
    found: Iterator[Outcome], recipe: Recipe, *, n_stored: int
) -> Iterator[list[Outcome]]:
    """Yield what fills one chunk each, and at last whatever is left."""
    chunk: list[Outcome] = []
    n_images = 0
    while recipe.limit is None or n_stored < recipe.limit:
        outcome = next(found, None)
        if outcome is None:
            break
        chunk.append(outcome)
        if outcome.pixels is not None:
            n_images += 1
            n_stored += 1
        if n_images == recipe.chunk_rows:
            yield chunk
            chunk, n_images = [], 0
    if chunk:
        yield chunk


def _store(
    chunk: list[Outcome], source: Source, pack: Pack, done: Progress
) -> Progress:
    """Write one chunk and its lines of the report."""
    images: list[Pixels] = []
    names: list[str] = []
    lines: list[tuple[str, ...]] = []
    digest, reasons = done.digest, list(done.first_reasons)
    for outcome in chunk:
        name = source.name(outcome.index)
        if outcome.pixels is None:
            lines.append((name, "skipped", outcome.reason, ""))
            reasons.append(f"{name}: {outcome.reason}")
            continue
        lines.append((name, "stored", "", str(done.n_stored + len(images))))
        images.append(outcome.pixels)
        names.append(name)
        digest = _next_digest(digest, outcome.pixels.tobytes())
    if images:
        pack.append(np.stack(images), names, _features(chunk, source))
    pack.report.append(lines)
    return replace(
        done,
        n_seen=chunk[-1].index + 1,
        n_stored=done.n_stored + len(images),
        n_skipped=done.n_skipped + len(chunk) - len(images),
        digest=digest,
        report_bytes=pack.report.n_bytes,
        first_reasons=tuple(reasons[:_REASONS_SHOWN]),
    )


def _next_digest(digest: str, image: bytes) -> str:
    return hashlib.sha256(bytes.fromhex(digest) + image).hexdigest()


def _features(chunk: list[Outcome], source: Source) -> NDArray[np.float64] | None:
    if not isinstance(source, FaceSource):
        return None
    return np.stack([source.features(outcome.index) for outcome in chunk])


def _total(source: Source, recipe: Recipe, done: Progress) -> int:
    expected = len(source) - done.n_skipped
    return expected if recipe.limit is None else min(expected, recipe.limit)


def _require_images(recipe: Recipe, done: Progress) -> None:
    if done.n_stored:
        return
    listed = "; ".join(done.first_reasons)
    problem = (
        f"holds {done.n_skipped} files and none is readable ({listed})"
        if listed
        else "holds no images"
    )
    raise DataError(
        thing=recipe.title,
        problem=problem,
        expected="at least one image",
        todo="Check --source and --crop.",
    )


def _summary(recipe: Recipe, done: Progress) -> Mapping[str, object]:
    return {
        "images": done.n_stored,
        "skipped": done.n_skipped,
        "size": recipe.frame.size,
        "source": recipe.title,
        "codec": recipe.codec,
        "content_sha256": done.digest,
    }

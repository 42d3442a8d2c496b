"""The work of `ingest`: chunk by chunk from the source into the store.

Entries are taken in the order of their names. Whatever is readable is stored, the rest
is listed; one step ends when a chunk is full, or after so many entries that there is
much to list. Images that do not fill a chunk yet are part of the state. So is where the
next step begins: an entry that was decoded ahead of a cut is simply decoded again.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from lowmem import CommitPoint, Result
from lowmem.base import DataError, sync_file
from lowmem_jobs.ingest.codec_choice import measured_choice
from lowmem_jobs.ingest.decode_ahead import N_PROCESSES, DecodeOutcome, outcomes
from lowmem_jobs.ingest.entries import TAKEN, printable
from lowmem_jobs.ingest.faces import FaceSource
from lowmem_jobs.ingest.file_checksum import file_sum
from lowmem_jobs.ingest.formats import SHARDS
from lowmem_jobs.ingest.ingest_progress import IngestProgress
from lowmem_jobs.ingest.ingest_recipe import FACES, recipe_from_options
from lowmem_jobs.ingest.label_source import label_source
from lowmem_jobs.ingest.pack import Pack, provenance
from lowmem_jobs.ingest.report import REPORT
from lowmem_jobs.ingest.sources import open_source
from lowmem_jobs.ingest.tars import partial_tar, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from lowmem import Context
    from lowmem_jobs.ingest.entries import ImageSource
    from lowmem_jobs.ingest.file_checksum import FileSum
    from lowmem_jobs.ingest.folder_labels import Labels
    from lowmem_jobs.ingest.framing import Pixels
    from lowmem_jobs.ingest.ingest_recipe import Recipe
    from lowmem_jobs.ingest.label_source import LabelSource

_REASONS_SHOWN = 3
# Entries that end a step however few of them were images.
_STEP_ENTRIES = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A store that holds all of a source, and is not yet finished.

    Attributes
    ----------
    recipe
        As it was made, with its compression.
    done
        What became of the source.
    pack
        Its writers.
    source_sha256
        Of a source that is one file; else None.
    """

    recipe: Recipe
    done: IngestProgress
    pack: Pack
    source_sha256: str | None


def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
    """Make ``images.zarr`` and ``ingest-report.csv`` of a source."""
    recipe = recipe_from_options(ctx.options)
    if recipe.kind == FACES:
        ctx.log(f"{recipe.title}: drawn faces; --source takes images of your own")
    joined = label_source(recipe.labels)
    done = IngestProgress(**ctx.state)
    if joined is not None:
        joined.refuse_other(done.labels_sha256)
        done = replace(done, labels_sha256=joined.sha256)
    made = yield from pack_source(ctx, recipe, done, labels=joined)
    summary = _summary(made.recipe, made.done)
    labels = made.pack.finish(
        summary | provenance(ctx, recipe, made.source_sha256),
        [made.done.n_stored],
        joined=joined,
        has_classes=recipe.kind != SHARDS,
    )
    if labels is not None:
        ctx.log(joined.line(labels) if joined else _line_of_folders(labels))
    return Result(publish=["images.zarr", REPORT], summary=summary)


def _line_of_folders(labels: Labels) -> str:
    return f"labels: {len(labels.class_names)} classes, one folder each"


def pack_source(
    ctx: Context,
    recipe: Recipe,
    done: IngestProgress,
    *,
    first: Sequence[DecodeOutcome] | None = None,
    joined: Callable[[ImageSource], ImageSource] = lambda source: source,
    labels: LabelSource | None = None,
) -> Generator[CommitPoint, None, Packed]:
    """Store all images of a source, from where ``done`` says.

    Parameters
    ----------
    first
        The images that wait at the very beginning; None: those of the last commit.
    joined
        Returns what the source is to be taken for.
    labels
        Where each image must have its label; None: labels follow from folders.

    Raises
    ------
    DataError
        If nothing of it is readable, or in the store already; if an image has no label.
    """
    # Pillow warns of what it makes good; what it cannot read is listed anyway.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    yield from _unpack(ctx, recipe, done)
    with open_source(recipe, ctx) as opened, file_sum(recipe) as whole:
        source = _clear(ctx, joined(opened), labels)
        done = _with_codec(ctx, recipe, done, n_images=_total(source, recipe, done))
        recipe = replace(recipe, codec=done.codec or recipe.codec)
        pack = Pack.open(
            ctx.staging,
            recipe,
            n_rows=done.n_stored - len(done.waiting),
            report_bytes=done.report_bytes,
            with_features=isinstance(source, FaceSource),
        )
        waiting = _waiting(ctx, done, source) if first is None else list(first)
        with _outcomes(ctx, source, done.n_seen) as found:
            while not _is_ended(source, recipe, done):
                before = done
                done = _take(_step(found, recipe, done), pack, done, waiting)
                # Before a commit that would bind labels without theirs.
                _refuse_unlabelled(waiting[before.n_stored - done.n_stored :], labels)
                if len(waiting) == recipe.chunk_rows:
                    _store(waiting, source, pack)
                    waiting.clear()
                done = replace(done, waiting=tuple(one.index for one in waiting))
                if done.n_stored == done.n_before and done.n_seen == len(source):
                    # Then the job will fail: no commit is to bind a corrected source.
                    break
                whole.advance(done.n_seen / len(source))
                ctx.progress(done.n_stored, _total(source, recipe, done))
                yield CommitPoint(
                    items=done.n_stored - before.n_stored,
                    state=asdict(done),
                    arrays=_arrays(waiting),
                    flush=pack.flush,
                )
        if done.n_stored > done.n_before:
            _end_sum(ctx, whole, done)
        if waiting:
            _store(waiting, source, pack)
    _require_images(recipe, done)
    _say_what_is_missing(ctx, done)
    return Packed(recipe=recipe, done=done, pack=pack, source_sha256=whole.hexdigest())


def _clear(
    ctx: Context, source: ImageSource, labels: LabelSource | None
) -> ImageSource:
    """Return a source that the labels fit, as far as names tell."""
    n_without = 0 if labels is None else labels.refuse_unclear(source)
    if n_without:
        ctx.log(
            f"{n_without} of {len(source)} files have no label of theirs: "
            "with the first of them that is a picture the ingest ends"
        )
    return source


def _refuse_unlabelled(
    found: Sequence[DecodeOutcome], labels: LabelSource | None
) -> None:
    if labels is not None:
        labels.refuse_unlabelled(one.name for one in found)


def _say_what_is_missing(ctx: Context, done: IngestProgress) -> None:
    if done.n_skipped and done.n_stored > done.n_before:
        ctx.log(f"{done.n_skipped} entries skipped: ingest-report.csv says why")
    if done.n_short:
        ctx.log(f"{done.n_short} images are cut short: ingest-report.csv names them")


def _end_sum(ctx: Context, whole: FileSum, done: IngestProgress) -> None:
    """Take what is left of a file's sum.

    No commit point: what follows one has to be less work each time, and a sum that is
    cut begins anew.
    """
    while not whole.is_done:
        whole.advance(1)
        ctx.progress(done.n_stored, done.n_stored, note="SHA-256 of the source")


def _unpack(
    ctx: Context, recipe: Recipe, done: IngestProgress
) -> Generator[CommitPoint, None, None]:
    """Unpack a compressed archive, from where the last commit left it."""
    if recipe.kind != "tar" or recipe.path is None:
        return

    def flush() -> None:
        sync_file(partial_tar(ctx.staging))
        sync_file(ctx.staging)

    for n_bytes in unpack(recipe.path, ctx.staging, start=done.unpacked_bytes):
        ctx.progress(0, note=f"unpacked {n_bytes // 2**20} MiB")
        state = asdict(replace(done, unpacked_bytes=n_bytes))
        yield CommitPoint(state=state, flush=flush)


def _outcomes(
    ctx: Context, source: ImageSource, start: int
) -> AbstractContextManager[Iterator[DecodeOutcome]]:
    n_ahead = ctx.settings.get("decode_ahead", 1)
    n_processes = ctx.settings.get("decode_processes", N_PROCESSES)
    return outcomes(source, start, n_ahead=n_ahead, n_processes=n_processes)


def _with_codec(
    ctx: Context, recipe: Recipe, done: IngestProgress, *, n_images: int
) -> IngestProgress:
    """Choose the compression, once: an ingest that goes on keeps it."""
    if recipe.codec is not None or done.codec:
        return done
    store_bytes = n_images * recipe.image_bytes
    choice = measured_choice(store_bytes, ctx.staging, ctx.ram_budget_bytes)
    ctx.log(
        f"codec {choice.codec}, {recipe.chunk_rows} images a chunk: {choice.reason}; "
        "--codec and --chunk-rows take others"
    )
    return replace(done, codec=choice.codec, codec_reason=choice.reason)


def _waiting(
    ctx: Context, done: IngestProgress, source: ImageSource
) -> list[DecodeOutcome]:
    """Return the images that an earlier process left waiting."""
    if not done.waiting:
        return []
    images = ctx.arrays["waiting"]
    return [
        DecodeOutcome(
            index=index, name=printable(source.entry(index).name), pixels=pixels
        )
        for index, pixels in zip(done.waiting, images, strict=True)
    ]


def _arrays(waiting: list[DecodeOutcome]) -> dict[str, Pixels]:
    return {"waiting": _stack(waiting)} if waiting else {}


def _stack(outcomes: list[DecodeOutcome]) -> Pixels:
    return np.stack([one.pixels for one in outcomes if one.pixels is not None])


def _is_ended(source: ImageSource, recipe: Recipe, done: IngestProgress) -> bool:
    """Tell whether there is nothing more to take."""
    is_enough = (
        recipe.limit is not None and done.n_stored - done.n_before >= recipe.limit
    )
    return is_enough or done.n_seen >= len(source)


def _step(
    found: Iterator[DecodeOutcome], recipe: Recipe, done: IngestProgress
) -> Iterator[DecodeOutcome]:
    """Yield the entries of one step; that which fills a chunk, or the limit, ends it."""
    missing = recipe.chunk_rows - done.n_stored % recipe.chunk_rows
    if recipe.limit is not None:
        missing = min(missing, recipe.limit - (done.n_stored - done.n_before))
    for outcome in islice(found, _STEP_ENTRIES):
        yield outcome
        missing -= outcome.pixels is not None
        if not missing:
            return


def _take(
    step: Iterator[DecodeOutcome],
    pack: Pack,
    done: IngestProgress,
    waiting: list[DecodeOutcome],
) -> IngestProgress:
    """Write what became of the entries of a step; add its images to those that wait."""
    lines: list[tuple[str, ...]] = []
    n_stored, digest, reasons = done.n_stored, done.digest, list(done.first_reasons)
    n_taken, n_short = done.n_taken, done.n_short
    for outcome in step:
        if outcome.pixels is None:
            lines.append((outcome.name, "skipped", outcome.reason, ""))
            reasons.append(f"{outcome.name}: {outcome.reason}")
            n_taken += outcome.reason == TAKEN
            continue
        lines.append((outcome.name, "stored", outcome.reason, str(n_stored)))
        n_short += bool(outcome.reason)
        waiting.append(outcome)
        digest = _next_digest(digest, outcome.pixels)
        n_stored += 1
    pack.report.append(lines)
    return replace(
        done,
        n_seen=done.n_seen + len(lines),
        n_stored=n_stored,
        n_skipped=done.n_skipped + len(lines) - (n_stored - done.n_stored),
        n_taken=n_taken,
        n_short=n_short,
        digest=digest,
        report_bytes=pack.report.n_bytes,
        first_reasons=tuple(reasons[:_REASONS_SHOWN]),
    )


def _store(images: list[DecodeOutcome], source: ImageSource, pack: Pack) -> None:
    """Write one chunk, or the rest."""
    pixels = [one.pixels for one in images if one.pixels is not None]
    names = [one.name for one in images]
    pack.append(pixels, names, _features(images, source))


def _next_digest(digest: str, image: Pixels) -> str:
    chain = hashlib.sha256(bytes.fromhex(digest))
    chain.update(np.ascontiguousarray(image).data)
    return chain.hexdigest()


def _features(
    chunk: list[DecodeOutcome], source: ImageSource
) -> NDArray[np.float64] | None:
    if not isinstance(source, FaceSource):
        return None
    return np.stack([source.features(outcome.index) for outcome in chunk])


def _total(source: ImageSource, recipe: Recipe, done: IngestProgress) -> int:
    expected = len(source) - done.n_skipped
    n_new = expected if recipe.limit is None else min(expected, recipe.limit)
    return done.n_before + n_new


def _require_images(recipe: Recipe, done: IngestProgress) -> None:
    if done.n_stored > done.n_before or done.n_taken:
        return
    listed = "; ".join(done.first_reasons)
    problem = (
        f"holds {done.n_skipped} files and none could be stored ({listed})"
        if listed
        else "holds no images"
    )
    raise DataError(
        thing=recipe.title,
        problem=problem,
        expected="at least one image",
        todo="Check --source and --crop.",
    )


def _summary(recipe: Recipe, done: IngestProgress) -> dict[str, object]:
    return {
        "images": done.n_stored,
        "skipped": done.n_skipped,
        **({"cut_short": done.n_short} if done.n_short else {}),
        "size": recipe.frame.size,
        "source": recipe.title,
        "codec": recipe.codec,
        **({"chunk_rows": recipe.wanted_rows} if recipe.wanted_rows else {}),
        **({"codec_reason": done.codec_reason} if done.codec_reason else {}),
        "content_sha256": done.digest,
    }

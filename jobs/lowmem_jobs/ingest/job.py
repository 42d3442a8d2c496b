"""The description of the job `ingest`, read by the planner: nothing heavy is imported."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lowmem import Calibration, Job, Option, Rung, Trial
from lowmem.stores import codec_names
from lowmem_jobs.ingest.ingest_recipe import (
    AUTO,
    DEFAULT_SIZE,
    DEFAULT_SOURCE,
    DEFAULT_SOURCE_SIZE,
    FACES,
    PRESETS,
    TRUNCATED,
    recipe_from_options,
    source_identity,
)
from lowmem_jobs.ingest.label_choice import LabelChoice
from lowmem_jobs.ingest.label_lines import n_line_ends, table_sha256
from lowmem_jobs.ingest.label_table import read_label_table
from lowmem_jobs.ingest.report import REPORT, entries_before

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem import PlanContext, Settings
    from lowmem_jobs.ingest.ingest_recipe import Recipe

ARRAY_HELP = (
    "Which array of a .npz or .zarr holds the images; by default the one called images, "
    "or the only one that can be."
)
TRUNCATED_HELP = (
    "What becomes of a JPEG that is cut short: skip (the default) or keep, with what is "
    "missing in grey; it is listed either way."
)
# Processes that decode, one a core; more were not seen to help a disk or a memory bus.
_MAX_PROCESSES = 8
# Entries under way at once, for each process: four batches of eight.
_AHEAD_PER_PROCESS = 64

# Anonymous memory in bytes, measured on the worker: see tests/memory/test_ingest.py.
_WORKER_BYTES = 65 * 2**20
# The same where no image is decoded.
_DRAWING_BYTES = 38 * 10**6
# A process that decodes beside the one that packs, before its first image.
_PROCESS_BYTES = 12 * 2**20
# One photograph of 4 megapixels under way: decoded, composited, reduced.
_DECODING_BYTES = 40 * 2**20
# An encoded image that waits, and all of them: ahead.WAITING_BYTES.
_WAITING_BYTES = 2**20
_MOST_WAITING_BYTES = 2**25
# Of a line of a table of labels, and of the name of a file that it may mean: hashes and
# numbers, while they are sorted.
_LINE_BYTES = 96
# Of a picture and its label in a tar: two headers and as much content.
_SAMPLE_BYTES = 2**11
# A chunk is collected, stacked, and held by Zarr while it is written.
_CHUNK_COPIES = 4


def ladder(_: PlanContext) -> tuple[Settings, ...]:
    """Return how many entries are under way at once, and decoded at once."""
    n_most = min(_MAX_PROCESSES, len(os.sched_getaffinity(0)))
    few = min(2, n_most)
    return (
        {"decode_ahead": _AHEAD_PER_PROCESS * n_most, "decode_processes": n_most},
        {"decode_ahead": 4 * few, "decode_processes": few},
        {"decode_ahead": 1, "decode_processes": 1},
    )


def _predict(plan: PlanContext, settings: Settings) -> Rung:
    recipe = recipe_from_options(plan.options)
    ram_bytes = predicted_bytes(recipe, settings)
    if recipe.table is not None:
        ram_bytes += _LINE_BYTES * n_line_ends(recipe.table)
    elif recipe.labels is not None and recipe.path and recipe.path.is_file():
        ram_bytes += _LINE_BYTES * (recipe.path.stat().st_size // _SAMPLE_BYTES)
    return Rung(settings=settings, ram_bytes=ram_bytes)


def predicted_bytes(recipe: Recipe, settings: Settings) -> int:
    """Return the memory that an ingest is predicted to need."""
    is_drawn = recipe.kind == FACES
    ahead, n_decoding = (0, 0) if is_drawn else _under_way(settings)
    n_others = max(0, n_decoding - 1)
    waiting_bytes = min(ahead * _WAITING_BYTES, _MOST_WAITING_BYTES)
    # What was shared with the other processes is used again, and never given back.
    shared_bytes = waiting_bytes * n_others // max(1, n_decoding)
    return (
        (_DRAWING_BYTES if is_drawn else _WORKER_BYTES)
        + n_others * _PROCESS_BYTES
        + n_decoding * _DECODING_BYTES
        + waiting_bytes
        + shared_bytes
        + ahead * recipe.image_bytes
        + _CHUNK_COPIES * recipe.chunk_rows * recipe.image_bytes
    )


def _calibrate(plan: PlanContext) -> Calibration | None:
    """Return trials over the first images of a source, one at each rung.

    None for faces, which are all alike, and for what has to be unpacked first: its
    first commit points come long before its first image.
    """
    recipe = recipe_from_options(plan.options)
    if recipe.kind in {FACES, "tar"}:
        return None
    trials = [Trial(settings=rung, points=1) for rung in reversed(ladder(plan))]
    return Calibration(trials=trials, terms=_terms)


def _terms(_: PlanContext, settings: Settings) -> tuple[float, ...]:
    ahead, n_processes = _under_way(settings)
    return float(n_processes), float(ahead)


def _under_way(settings: Settings) -> tuple[int, int]:
    """Return the entries that may wait at once, and the processes that decode."""
    ahead = settings["decode_ahead"]
    return ahead, settings.get("decode_processes", min(2, ahead))


def _check(plan: PlanContext) -> None:
    """Refuse a table of labels that no ingest can use, before the first image."""
    recipe = recipe_from_options(plan.options)
    if isinstance(recipe.labels, LabelChoice):
        read_label_table(recipe.labels)


def _inputs(plan: PlanContext) -> Mapping[str, str]:
    recipe = recipe_from_options(plan.options)
    named = {"source": source_identity(recipe, plan.workspace.root)}
    # Only where there is one, as in every recipe before there could be.
    if recipe.table is not None:
        named["labels"] = table_sha256(recipe.table)
    return named


def _resume_at(plan: PlanContext, row: int) -> Mapping[str, object] | None:
    """Return the state in which a row is the next to be stored.

    Which entry of the source that is, and how many before it were skipped, stands in the
    list that was published with the images; None without it.
    """
    seen = entries_before(plan.workspace.root / REPORT, row)
    if seen is None:
        return None
    return {"n_seen": seen, "n_stored": row, "n_skipped": seen - row}


JOB = Job(
    name="ingest",
    summary="Make images.zarr of a folder, an archive, an array, or drawn faces.",
    work="lowmem_jobs.ingest.work:work",
    unit="images",
    options=(
        Option(
            name="source",
            kind="str",
            help="Folder, of .tar shards too, .zip, .tar(.gz), .npy, .npz, .zarr, or faces:N for N drawn "
            f"faces; by default {DEFAULT_SOURCE}, of {DEFAULT_SOURCE_SIZE} pixels.",
        ),
        Option(name="array", kind="str", help=ARRAY_HELP),
        Option(name="truncated", kind="str", choices=TRUNCATED, help=TRUNCATED_HELP),
        Option(
            name="size",
            kind="int",
            minimum=8,
            help="Height and width of the stored images, in pixels; by default "
            f"{DEFAULT_SIZE} of a source that is given.",
        ),
        Option(
            name="crop",
            kind="str",
            default="none",
            help="none (the whole image, stretched to a square), center (the largest "
            "centred square), or L,T,R,B (a box in pixels of the original).",
        ),
        Option(
            name="preset",
            kind="str",
            choices=PRESETS,
            help="celeba: img_align_celeba.zip as the study takes it, the centred "
            "178 x 178 pixels scaled to --size. Another --crop than none wins.",
        ),
        Option(
            name="limit",
            kind="int",
            minimum=1,
            help="Take only so many readable images, the first by name.",
        ),
        Option(
            name="labels",
            kind="str",
            help="Table of labels, joined to the pictures by name: a CSV with titles, or "
            "one of CelebA's lists; or cls or json, WebDataset's files beside the "
            "pictures. By default labels follow from folders.",
        ),
        Option(
            name="label",
            kind="str",
            help="Which column, or field of a json, holds the labels: whole numbers, or "
            "words, which become classes. Needed where a table has titles.",
        ),
        Option(
            name="label_key",
            kind="str",
            help="Which column of --labels holds the names of the pictures; by default "
            "the first.",
        ),
        Option(
            name="codec",
            kind="str",
            default="auto",
            choices=(AUTO, *codec_names()),
            help="Compression of the store; none is the fastest to read at random. auto "
            "compresses what does not fit the page cache where the disk is slow.",
        ),
        Option(
            name="chunk_rows",
            kind="int",
            minimum=1,
            help="Images in one chunk of the store; by default 128, fewer of large "
            "ones. Never changes an image.",
        ),
    ),
    ladder=ladder,
    predict=_predict,
    calibrate=_calibrate,
    check=_check,
    inputs=_inputs,
    resume_at=_resume_at,
    uses_device=False,
    is_whole_for="which row an image takes depends on how many before it can be read",
)

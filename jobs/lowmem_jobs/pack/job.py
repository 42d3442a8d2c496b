"""The description of the job `pack`, read by the planner: nothing heavy is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem import Job, Option, Rung
from lowmem.stores import codec_names, fingerprint
from lowmem_jobs.pack.pack_recipe import AUTO, NULLS, recipe_from_options
from lowmem_jobs.pack.table_files import find_table_files
from lowmem_jobs.pack.table_formats import FORMATS, refuse_missing_package

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem import PlanContext, Settings

_LADDER = (
    {"block_kib": 4096, "block_rows": 32768},
    {"block_kib": 1024, "block_rows": 8192},
    {"block_kib": 256, "block_rows": 1024},
    {"block_kib": 64, "block_rows": 512},
)
# Anonymous memory in bytes, measured on the worker: see benchmarks/tables.py.
_WORKER_BYTES = 130 * 2**20
# Chunks that fill up, and a copy of one in a commit.
_CHUNKS_BYTES = 2**26 + 2**22
# A block as Python's objects, as Arrow's, and as arrays.
_BLOCK_COPIES = 16


def _ladder(_: PlanContext) -> tuple[Settings, ...]:
    return _LADDER


def _predict(_: PlanContext, settings: Settings) -> Rung:
    block_bytes = settings["block_kib"] * 1024
    return Rung(
        settings=settings,
        ram_bytes=_WORKER_BYTES + _CHUNKS_BYTES + _BLOCK_COPIES * block_bytes,
    )


def _check(plan: PlanContext) -> None:
    recipe = recipe_from_options(plan.options)
    for key in {file.format for file in find_table_files(recipe)}:
        refuse_missing_package(key)


def _inputs(plan: PlanContext) -> Mapping[str, str]:
    files = find_table_files(recipe_from_options(plan.options))
    return {
        f"source {number}": fingerprint(file.path)
        for number, file in enumerate(files, start=1)
    }


JOB = Job(
    name="pack",
    summary="Make table.zarr of tables or records: CSV, Parquet, Arrow, HDF5, TFRecord.",
    work="lowmem_jobs.pack.work:work",
    unit="rows",
    options=(
        Option(
            name="source",
            kind="texts",
            is_required=True,
            help="Files and folders, the rows in this order: CSV, TSV, JSON lines, text, "
            "Parquet, Arrow, Feather, HDF5, TFRecord, or what save_to_disk wrote.",
        ),
        Option(
            name="format",
            kind="str",
            default=AUTO,
            choices=(AUTO, *FORMATS),
            help="What the files are; auto goes by their names.",
        ),
        Option(name="columns", kind="texts", help="Columns to take; all by default."),
        Option(
            name="features",
            kind="texts",
            help="Columns of numbers to put side by side in the array `features`.",
        ),
        Option(
            name="label",
            kind="str",
            help="Column to store as the array `labels`; texts become codes.",
        ),
        Option(
            name="types",
            kind="texts",
            help="COLUMN=str takes a column as texts, COLUMN=float64 as the nearest floats.",
        ),
        Option(
            name="null",
            kind="str",
            default=NULLS[0],
            choices=NULLS,
            help="What becomes of a missing value: refuse, or nan in columns of floats.",
        ),
        Option(
            name="split",
            kind="texts",
            help="Parts and their shares, such as train=0.8,validation=0.1,test=0.1: "
            "the array `split` says in which each row is.",
        ),
        Option(
            name="split_by",
            kind="str",
            help="Column whose equal values stay in one part; each row by itself by default.",
        ),
        Option(
            name="delimiter",
            kind="str",
            help="Character between the cells of a CSV file, or tab; a comma by default.",
        ),
        Option(
            name="header",
            kind="flag",
            default=True,
            help="Whether the first line of a CSV file names its columns.",
        ),
        Option(
            name="codec",
            kind="str",
            default="none",
            choices=codec_names(),
            help="Compression of the store; none is the fastest to read at random.",
        ),
    ),
    ladder=_ladder,
    predict=_predict,
    check=_check,
    inputs=_inputs,
    uses_device=False,
    is_whole_for="which row is which depends on how many rows the files before it have",
)

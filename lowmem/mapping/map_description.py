"""What the planner knows of a map; imports nothing heavy but the function's own file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lowmem.base.errors import UsageError
from lowmem.mapping.map_task import MapTask
from lowmem.mapping.naming import MAKER, PREFIX, out_from_text
from lowmem.mapping.sizes import BLOCK_RESULT_BYTES, HELD
from lowmem.mapping.unchanged_file import known_print
from lowmem.protocol.job import Job
from lowmem.protocol.option import Option
from lowmem.protocol.planning import Calibration, Rung, Trial
from lowmem.stores.codecs import codec_names
from lowmem.stores.metadata import fingerprint, read_mapping

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lowmem.mapping.map_source import MapSource
    from lowmem.protocol.commit_point import CommitPoint
    from lowmem.protocol.context import Context
    from lowmem.protocol.job import Result
    from lowmem.protocol.planning import PlanContext, Settings
    from lowmem.protocol.row_blocks import RowBlocks

# bytes; a worker with NumPy and Zarr, measured: 35 MB.
_BASE_BYTES = 40 * 10**6
_FUNCTION = Option(
    name="function",
    kind="str",
    help="MODULE:FUNCTION or FILE.py:FUNCTION, of one block of rows.",
)


def map_job(
    task: MapTask,
    *,
    source: str | None = None,
    rows: int | None = None,
    codec: str = "none",
    **described: Any,  # noqa: ANN401 - as `Job` takes them
) -> Job:
    """Return the job of a task.

    Parameters
    ----------
    source, rows, codec
        Defaults of the options of these names.
    described
        Further attributes of the `Job`.
    """
    described.setdefault("summary", f"Map a function of rows to {task.out.store}.")
    options = (
        *(() if task.function else (_FUNCTION,)),
        Option(
            name="source",
            kind="str",
            default=source,
            help="Zarr array, group with one, or .npy file, here or in the workspace.",
        ),
        Option(
            name="rows",
            kind="int",
            minimum=1,
            default=rows,
            help="Rows of one call of the function; by default some 4 MiB of them.",
        ),
        Option(
            name="codec",
            kind="str",
            default=codec,
            choices=codec_names(),
            help="Compression of the result.",
        ),
    )

    def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
        # NumPy and Zarr, which a planner does without.
        from lowmem.mapping.work import mapped  # noqa: PLC0415

        return mapped(ctx, task)

    def blocks(ctx: Context) -> AbstractContextManager[RowBlocks]:
        # As above.
        from lowmem.mapping.work import mapped_blocks  # noqa: PLC0415

        return mapped_blocks(ctx, task)

    return Job(
        name=task.job,
        work=work,
        blocks=blocks,
        options=options,
        ladder=lambda ctx: _ladder(task.source(ctx)),
        predict=lambda ctx, settings: _predicted(task, ctx, settings),
        calibrate=lambda ctx: _calibration(task, ctx),
        check=lambda ctx: _check(task, ctx),
        inputs=lambda ctx: _inputs(task, ctx),
        resume_at=lambda _, row: {"rows": row},
        **{"unit": "rows", "uses_device": False, **described},
    )


def named_job(reference: str) -> Job:
    """Return the job of ``lowmem map``, by how it is referred to: ``map:OUT``."""
    out = out_from_text(reference.removeprefix(PREFIX))
    return map_job(MapTask(job=out.job, out=out))


def _ladder(source: MapSource) -> Sequence[Settings]:
    # What is mapped is not held: the kernel reads ahead in it.
    return [{"held": n} for n in (HELD if source.chunk_rows else HELD[-1:])]


def _predicted(task: MapTask, ctx: PlanContext, settings: Settings) -> Rung:
    source = task.source(ctx)
    rows = min(task.rows(ctx, source), source.n_rows)
    # A chunk as stored and as decoded, beside the calls that are held.
    chunk = 2 * min(source.chunk_rows or 0, source.n_rows)
    held = settings["held"] * rows if source.chunk_rows else 0
    return Rung(
        settings=settings,
        ram_bytes=_BASE_BYTES + BLOCK_RESULT_BYTES + (held + chunk) * source.row_bytes,
    )


def _calibration(task: MapTask, ctx: PlanContext) -> Calibration:
    """Return trials at both ends of the ladder: each takes one block."""
    source = task.source(ctx)
    ladder = _ladder(source)
    rungs = [ladder[-1], ladder[0]] if len(ladder) > 1 else ladder
    rows = task.rows(ctx, source)
    return Calibration(
        trials=[Trial(settings=settings, points=1) for settings in rungs],
        terms=lambda _, settings: (
            (float(settings["held"] * rows),) if len(ladder) > 1 else ()
        ),
        depends_on={
            "row": [*source.shape[1:], source.dtype, source.chunk_rows],
            "rows": rows,
            "function": ctx.options.get("function"),
            **task.code(ctx),
        },
    )


def _check(task: MapTask, ctx: PlanContext) -> None:
    source = task.source(ctx)
    task.loaded(ctx)
    store = ctx.workspace.root / task.out.store
    if source.path.resolve().is_relative_to(store.resolve()):
        raise UsageError(
            f"{source.path} would be mapped onto itself, expected another store to go to."
        )
    if store.exists() and _maker(store) != task.job:
        raise UsageError(
            f"{store} is there already and no result of {task.job}, expected a name that "
            "is free: give the result another, or move the store away."
        )


def _maker(store: Path) -> object:
    try:
        return read_mapping(store / "zarr.json")["attributes"][MAKER]["job"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _inputs(task: MapTask, ctx: PlanContext) -> Mapping[str, str]:
    source = task.source(ctx)
    known = known_print(task.job, source.path, ctx.workspace)
    return {
        "source": known or fingerprint(source.path),
        "out": f"{task.out.store}/{task.out.array}",
        "rows of a call": str(task.rows(ctx, source)),
        **task.code(ctx),
    }

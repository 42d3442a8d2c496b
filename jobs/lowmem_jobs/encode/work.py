"""Encode rows block by block into ``latents.zarr``."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from lowmem import RowBlocks
from lowmem.base import DataError
from lowmem.stores import RowReader, write_blocks
from lowmem_jobs.encode.encoder_choice import EncoderKind, encoder_choice
from lowmem_jobs.encode.function_encoder import FunctionEncoder, function_of
from lowmem_jobs.encode.job import BLOCK_ROWS, batch_size_of
from lowmem_jobs.encode.onnx_encoder import onnx_function
from lowmem_jobs.encode.row_readers import opened_rows
from lowmem_jobs.encode.row_source import row_source
from lowmem_jobs.model.latents_origin import LatentsOrigin

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from numpy.typing import NDArray

    from lowmem import CommitPoint, Context, Result
    from lowmem_jobs.encode.encoder_choice import EncoderChoice
    from lowmem_jobs.encode.row_readers import OpenedRows, Rows
    from lowmem_jobs.encode.row_source import RowSource

_STORE, _ARRAY = "latents.zarr", "z"
_DRAWS = (
    "a layer of the encoder draws at random: each vector is one draw, which follows from "
    "--seed and the image's row"
)
_DAMAGED = "The model is damaged or diverged: train it again."
_NOT_FINITE = (
    "Let the function give finite numbers that float32 can hold, or refuse such rows."
)


class RowEncoder(Protocol):
    """What makes vectors of rows, a fixed number of them at once."""

    @property
    def latent_dim(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, rows: Any, *, row: int) -> NDArray[np.float32]:  # noqa: ANN401
        """Return the vectors of rows, of which ``row`` is the first."""
        ...


@contextmanager
def blocks(ctx: Context) -> Iterator[RowBlocks]:
    """Open the rows and the encoder: any block of latents is encoded by itself."""
    choice, source = encoder_choice(ctx.options, ctx.workspace), row_source(ctx)
    attributes = LatentsOrigin.of(rows=source.path, encoder=choice.file).attributes
    with opened_rows(source, most_rows=_rows_at_once(ctx)) as reader:
        if choice.kind is EncoderKind.KERAS:
            # Keras, which other encoders do without.
            from lowmem_jobs.encode.keras_encoder import opened_keras  # noqa: PLC0415

            with opened_keras(ctx, choice, source) as encoder:
                notes = (
                    (_DRAWS,) if encoder.draws(np.asarray(reader.read(0, 1))) else ()
                )
                yield _blocks(
                    ctx, source, reader, encoder, notes=notes, attributes=attributes
                )
            return
        batch_size = batch_size_of(ctx)
        # Batches end with a block: no call has more rows, the first neither.
        first = reader.read(0, min(batch_size, BLOCK_ROWS, source.n_rows))
        of_rows = _function(ctx, choice, source, first)
        if choice.kind is EncoderKind.FUNCTION:
            # A model gets its batch filled up.
            batch_size = min(batch_size, BLOCK_ROWS)
        function = FunctionEncoder(of_rows, batch_size=batch_size, first=first)
        _refuse_other_function(ctx, function)
        yield _blocks(
            ctx,
            source,
            reader,
            function,
            notes=function.notes,
            attributes=attributes,
        )


def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
    """Encode, offering a commit after each chunk of the latents."""
    with blocks(ctx) as latents:
        return (yield from write_blocks(ctx, latents))


def _function(
    ctx: Context, choice: EncoderChoice, source: RowSource, first: Rows
) -> Callable[[Any], object]:
    if choice.kind is EncoderKind.FUNCTION:
        return function_of(choice, ctx.workspace)
    return onnx_function(
        choice,
        batch_size=batch_size_of(ctx),
        row_shape=source.row_shape,
        dtype=first.dtype if isinstance(first, np.ndarray) else None,
    )


def _refuse_other_function(ctx: Context, function: FunctionEncoder) -> None:
    """Hold the first vectors against those that are committed, if any are."""
    done = min(int(ctx.state.get("rows", 0)), len(function.first))
    if done and (ctx.staging / _STORE).exists():
        with RowReader.open(ctx.staging / _STORE, _ARRAY) as made:
            function.refuse_unless_same(made.read(0, done))


def _blocks(
    ctx: Context,
    source: RowSource,
    reader: OpenedRows,
    encoder: RowEncoder,
    *,
    notes: tuple[str, ...],
    attributes: Mapping[str, Any],
) -> RowBlocks:
    todo = _NOT_FINITE if ctx.options["encoder"] else _DAMAGED

    def make(start: int, stop: int) -> NDArray[np.float32]:
        """Return the vectors of some rows, few of these being held at a time."""
        step = _rows_at_once(ctx)
        parts = []
        for at in range(start, stop, step):
            z = encoder.encode(reader.read(at, min(at + step, stop)), row=at)
            _refuse_non_finite(z, at, todo)
            parts.append(z)
        reader.refuse_changed()
        return np.concatenate(parts)

    return RowBlocks(
        store=_STORE,
        array=_ARRAY,
        n_rows=source.n_rows,
        block_rows=BLOCK_ROWS,
        row_shape=(encoder.latent_dim,),
        dtype="float32",
        make=make,
        attributes=attributes,
        notes=notes,
        summary={"n": source.n_rows, "latent_dim": encoder.latent_dim},
    )


def _rows_at_once(ctx: Context) -> int:
    # Whole batches: the rows that share one are the same whatever is read at once.
    batch_size = batch_size_of(ctx)
    return -(-ctx.settings.get("read_rows", BLOCK_ROWS) // batch_size) * batch_size


def _refuse_non_finite(z: NDArray[np.float32], start: int, todo: str) -> None:
    bad = np.flatnonzero(~np.isfinite(z).all(axis=1))
    if len(bad):
        raise DataError(
            thing=f"the latent vector of sample {start + bad[0]}",
            problem="is not finite",
            expected="numbers",
            todo=todo,
        )

"""A few steps of a model, as Keras' own `fit` and `predict` take them."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from lowmem import CommitPoint, Result
from lowmem.training import keras_session
from lowmem_jobs.model_trial.model_reference import shapes_from_text
from lowmem_jobs.model_trial.opening import opened
from lowmem_jobs.model_trial.synthetic_rows import input_rows, target_rows

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractContextManager

    from lowmem import Context

# Steps after which a trial has allocated what later ones use again, batches that a backend
# takes ahead of the step among them.
_STEPS = 8


class _FreshBatches(keras.utils.PyDataset):
    """Batches that are made anew, as a source that reads them has them: some at a time."""

    def __init__(self, rows: tuple[Any, ...], n_rows: int) -> None:
        super().__init__()
        self._rows, self._n_rows = rows, n_rows

    def __len__(self) -> int:
        return _STEPS

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        made = keras.tree.map_structure(lambda row: row.times(self._n_rows), self._rows)
        return tuple(made)


def work(ctx: Context) -> Generator[CommitPoint, None, Result]:
    """Take some steps at the batch of the settings; the commit says that they are done."""
    _forget_own_folder()
    # On the CPU as in the user's own program, which sets nothing.
    session: AbstractContextManager[None] = nullcontext()
    if ctx.device == "gpu":
        session = keras_session(
            seed=ctx.seed, device=ctx.device, vram_budget_bytes=ctx.vram_budget_bytes
        )
    with session:
        n_rows = ctx.settings["batch_size"]
        is_trained = not ctx.options["predict"]
        model = opened(ctx.options["model"], is_trained=is_trained)
        inputs = input_rows(model, shapes_from_text(ctx.options["input_shape"]))
        targets = target_rows(model, inputs) if is_trained else None
        rows = (inputs,) if targets is None else (inputs, targets)
        source = _FreshBatches(rows, n_rows)
        if is_trained:
            model.fit(source, verbose=0, shuffle=False)
        else:
            model.predict(source, verbose=0)
        yield CommitPoint(items=n_rows * _STEPS, state={"steps": _STEPS}, is_due=True)
    return Result()


def _forget_own_folder() -> None:
    """Let no module of this folder stand for one of the user's.

    The folder of a job that is named by its file is put there.
    """
    here = str(Path(__file__).parent.absolute())
    while here in sys.path:
        sys.path.remove(here)

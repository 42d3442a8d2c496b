"""Rows of the shapes and types that a model takes, and the targets that its loss takes.

Their values are all the same: memory does not depend on them. Every page is written to,
since one that is only reserved takes no memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.base import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Of a model that has not been built: nothing tells another type.
_USUAL_TYPE = "float32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One input or target of a row: its shape without the batch, and its type."""

    shape: tuple[int, ...]
    dtype: str

    def times(self, n_rows: int) -> NDArray[Any]:
        """Return so many rows, shape (n_rows, *shape).

        Numbers are 0.5, and whole ones 0: any vocabulary has that.
        """
        is_whole = "int" in self.dtype or self.dtype == "bool"
        # NumPy has no bfloat16; Keras casts.
        dtype = _USUAL_TYPE if self.dtype == "bfloat16" else self.dtype
        return np.full((n_rows, *self.shape), 0 if is_whole else 0.5, dtype)


def input_rows(model: keras.Model, shapes: Sequence[tuple[int, ...]]) -> Any:  # noqa: ANN401
    """Return the `Row` of each of a model's inputs, in their structure.

    Parameters
    ----------
    shapes
        What the user says of them, in the order of ``model.inputs``; may be empty.

    Raises
    ------
    ModelError
        If a size is open and not said, or another than the model's.
    """
    if not getattr(model, "inputs", None):
        return _unbuilt(model, shapes)
    inputs = model.inputs
    if shapes and len(shapes) != len(inputs):
        raise _refused(
            model,
            f"takes {len(inputs)} inputs, and {len(shapes)} shapes are given",
            "a shape for each",
        )
    rows = [
        _row(model, tensor, shapes[place] if shapes else None)
        for place, tensor in enumerate(inputs)
    ]
    return keras.tree.pack_sequence_as(_structure(model, "input", inputs), rows)


def _structure(model: keras.Model, name: str, flat: Sequence[Any]) -> Any:  # noqa: ANN401
    """Return a model's inputs or outputs as they are nested."""
    try:
        found = getattr(model, name)
    except (AttributeError, ValueError):
        found = None
    is_flat = found is None or len(keras.tree.flatten(found)) != len(flat)
    return (flat[0] if len(flat) == 1 else list(flat)) if is_flat else found


def _unbuilt(model: keras.Model, shapes: Sequence[tuple[int, ...]]) -> Any:  # noqa: ANN401
    if not shapes:
        raise _refused(
            model,
            "does not say what it takes: it is not built of keras.Input",
            "the sizes of a row: --input-shape 128,16",
        )
    rows = [Row(shape=shape, dtype=_USUAL_TYPE) for shape in shapes]
    return rows[0] if len(rows) == 1 else rows


def _row(model: keras.Model, tensor: Any, given: tuple[int, ...] | None) -> Row:  # noqa: ANN401
    batch, *sizes = tensor.shape
    dtype = str(keras.backend.standardize_dtype(tensor.dtype))
    shown = tuple(sizes)
    if batch is not None:
        raise _refused(
            model, f"takes {batch} rows at once and no others", "an open batch"
        )
    if dtype == "string":
        raise _refused(model, "takes texts", "numbers")
    if given is None and None in sizes:
        raise _refused(
            model,
            f"takes rows of {shown}, with a size left open",
            "all sizes of a row: --input-shape "
            + ",".join(str(size or 128) for size in sizes),
        )
    wanted = given or shown
    pairs = zip(wanted, sizes, strict=False)
    if len(wanted) != len(sizes) or any(b not in {None, a} for a, b in pairs):
        raise _refused(model, f"takes rows of {shown}, not of {wanted}", f"{shown}")
    return Row(shape=wanted, dtype=dtype)


def _refused(model: keras.Model, problem: str, expected: str) -> ModelError:
    return ModelError(model=model.name, problem=problem, expected=expected)


def target_rows(model: keras.Model, inputs: Any) -> Any:  # noqa: ANN401
    """Return the `Row` of each target, in the structure of the outputs; None of no loss.

    A loss whose name says ``sparse`` takes whole numbers, one less dimension of them;
    any other takes what the model puts out.

    Notes
    -----
    Where the model leaves sizes open, it is called with one row.
    """
    if model.loss is None:
        return None
    outputs = getattr(model, "outputs", None)
    if outputs and all(None not in one.shape[1:] for one in outputs):
        found = _structure(model, "output", outputs)
    else:
        one_row = keras.tree.map_structure(lambda row: row.times(1), inputs)
        found = model(one_row, training=False)
    flat = keras.tree.flatten(found)
    names = list(getattr(model, "output_names", None) or range(len(flat)))
    rows = [
        _target(output, loss)
        for output, loss in zip(flat, _losses(model.loss, found, names), strict=True)
    ]
    return keras.tree.pack_sequence_as(found, rows)


def _losses(loss: Any, outputs: Any, names: Sequence[Any]) -> list[Any]:  # noqa: ANN401
    """Return the loss of each output."""
    if isinstance(loss, dict):
        # A tree is flattened in the order of its sorted keys.
        keys = sorted(outputs) if isinstance(outputs, dict) else names
        return [loss.get(key) for key in keys]
    if isinstance(loss, list | tuple):
        return list(loss)
    return [loss] * len(names)


def _target(output: Any, loss: Any) -> Row:  # noqa: ANN401
    shape = tuple(output.shape[1:])
    name = loss if isinstance(loss, str) else getattr(loss, "__name__", "")
    if "sparse" in f"{name}{type(loss).__name__}".lower():
        return Row(shape=shape[:-1], dtype="int32")
    return Row(shape=shape, dtype=str(keras.backend.standardize_dtype(output.dtype)))

"""Build the user's own model out of ``MODULE:FUNCTION``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from lowmem.base import ModelError, OptionValueError
from lowmem.mapping import import_by_source

if TYPE_CHECKING:
    from collections.abc import Sequence


def build_custom_model(
    reference: str, *, input_shape: Sequence[int], latent_dim: int
) -> keras.Model:
    """Call the user's function and return its model.

    Parameters
    ----------
    reference
        ``MODULE:FUNCTION``; modules of the current folder can be imported.
    input_shape
        (height, width, channels) of the images, given to the function by keyword.
    latent_dim
        Length of the latent vector, likewise.

    Raises
    ------
    OptionValueError
        If there is no such function.
    ModelError
        If it returns no Keras model, or one that does not turn such images into such.

    Notes
    -----
    What the user's code raises by itself is left as it is: it is the user's to see.
    """
    module_name, _, function_name = reference.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    function = getattr(import_by_source(module_name), function_name, None)
    if not callable(function):
        raise OptionValueError(
            option="--model",
            value=reference,
            expected=f"a function that {module_name} defines",
        )
    model = function(input_shape=tuple(input_shape), latent_dim=latent_dim)
    if not isinstance(model, keras.Model):
        raise ModelError(
            model=reference,
            problem=f"is a {type(model).__name__}",
            expected="that the function returns a keras.Model",
        )
    _check_shapes(model, reference, tuple(input_shape))
    return model


def _check_shapes(model: keras.Model, reference: str, shape: tuple[int, ...]) -> None:
    if not model.built or len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            model=reference,
            problem="is not built, or has several inputs or outputs",
            expected="one keras.Input and one output",
        )
    for what, found in (("takes", model.input_shape), ("returns", model.output_shape)):
        sizes = zip(found[1:], shape, strict=False)
        if len(found) != len(shape) + 1 or any(a not in {None, b} for a, b in sizes):
            raise ModelError(
                model=reference,
                problem=f"{what} {found[1:]}",
                expected=f"{shape}, the shape of the images",
            )

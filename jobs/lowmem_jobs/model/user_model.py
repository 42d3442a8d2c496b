"""Build the user's own model out of ``MODULE:FUNCTION``."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING

import keras

from lowmem.base import ModelError, OptionValueError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType


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
    function = getattr(_imported(module_name), function_name, None)
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


class _Compiled(SourceFileLoader):
    """Compiles a module's source, whatever ``__pycache__`` holds for it.

    A cached file is taken for the source by its time, its hash or nothing at all, and one
    that came with the source may hold any code. The user's word is for the source.
    """

    def get_code(self, fullname: str) -> CodeType:  # type: ignore[explicit-override]
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _CompiledAlone:
    """A finder of one module."""

    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == self.name else None
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        spec.loader = _Compiled(name, spec.loader.path)
        return spec


def _imported(name: str) -> ModuleType:
    """Import a module by its source."""
    finder = _CompiledAlone(name)
    sys.meta_path.insert(0, finder)
    try:
        return import_module(name)
    finally:
        sys.meta_path.remove(finder)


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

"""The model itself, from its file in safe mode or from the user's function."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING

import keras

from lowmem.base import DataError, ModelError, OptionValueError
from lowmem_jobs.model_trial.model_reference import (
    BUILT_INSTEAD,
    reference_from_text,
    refuse_unless_plain,
)

if TYPE_CHECKING:
    from pathlib import Path


def opened(text: str, *, is_trained: bool) -> keras.Model:
    """Return the model that ``text`` names.

    Raises
    ------
    OptionValueError
        If there is no such function.
    DataError
        If Keras cannot open the file.
    ModelError
        If it is no Keras model, or is to be trained and not compiled.

    Notes
    -----
    What the user's code raises by itself is left as it is: it is the user's to see.
    """
    reference = reference_from_text(text)
    if reference.function is None:
        model = _loaded(reference.path, is_trained=is_trained)
    else:
        model = _built(reference.path, reference.function)
    if not isinstance(model, keras.Model):
        raise ModelError(
            model=text,
            problem=f"is a {type(model).__name__}",
            expected="a keras.Model",
        )
    if is_trained and not model.compiled:
        raise ModelError(
            model=text,
            problem="is not compiled, so that nothing is known of its optimiser and loss",
            expected="model.compile(optimizer=..., loss=...) before it is planned",
            todo="--predict plans inference, which needs neither.",
        )
    return model


def _loaded(path: Path, *, is_trained: bool) -> object:
    # Again: the file may be another than when it was planned.
    refuse_unless_plain(path)
    try:
        return keras.saving.load_model(path, compile=is_trained, safe_mode=True)
    except (TypeError, ValueError, OSError, KeyError, NotImplementedError) as error:
        raise DataError(
            thing=path,
            problem=f"cannot be opened ({(str(error).strip() or type(error).__name__).splitlines()[0]})",
            expected="what model.save('FILE.keras') writes of Keras' own layers, losses "
            "and metrics",
            todo=BUILT_INSTEAD,
        ) from error


def _built(path: Path, function: str) -> object:
    # Imports beside the file work, as they do for ``python FILE.py``.
    sys.path.insert(0, str(path.parent))
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise OptionValueError(
            option="--model", value=str(path), expected="a Python file"
        )
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    build = getattr(module, function, None)
    if not callable(build):
        raise OptionValueError(
            option="--model",
            value=f"{path.name}:{function}",
            expected=f"a function that {path.name} defines",
        )
    return build()

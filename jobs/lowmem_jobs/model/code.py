"""Models that hold code of the user's own: how later jobs open what was published.

A Keras file names the classes and functions of its layers, and may hold the code of a
`Lambda`. Code out of a file is never run, and names in a file import nothing here. What is
open instead is the way that the training took: ``--model MODULE:FUNCTION`` of the current
folder builds the model again, and the file gives it its weights. ``training.json`` beside
the files tells the function and what it was given.

The code may be another by then. So what the trained halves made of one image is kept
beside, and held against what the rebuilt ones make of it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np

from lowmem.base import DataError, ModelError
from lowmem_jobs.model.draws import draws_at_random, key_draws
from lowmem_jobs.model.import_consent import refuse_unless_given
from lowmem_jobs.model.model_file import objects_in, refuse_unless_own
from lowmem_jobs.model.model_source import (
    ACCOUNT,
    function_named,
    read_account,
    source_of,
)
from lowmem_jobs.model.parts import Parts, cut_at_latent, write_parts
from lowmem_jobs.model.user_model import build_custom_model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import keras
    from numpy.typing import NDArray

# Values kept of each half, and how far a rebuilt one may be off: what other software or
# half precision makes of them. Other code is far beyond.
_KEPT, _TOLERANCE = 64, 2e-2


def holds_code(path: Path) -> bool:
    """Return whether a model file names anything that is none of Keras' own."""
    with ZipFile(path) as archive:
        config = json.loads(archive.read("config.json"))
    return any(map(_is_code, objects_in(config)))


def _is_code(found: dict[str, Any]) -> bool:
    if found.get("class_name") == "__lambda__":
        return True
    if "module" not in found or "class_name" not in found:
        return False
    return str(found["module"]).partition(".")[0] != "keras"


def code_account(
    parts: Parts,
    folder: Path,
    *,
    reference: str,
    input_shape: tuple[int, ...],
    latent_dim: int,
) -> dict[str, Any] | None:
    """Return what later jobs need to build the model again; None if its file will do.

    Called before the first step, with an empty ``folder`` to try it in.

    Raises
    ------
    ModelError
        If the model cannot be written, or what is built again is another.
    """
    try:
        write_parts(parts, folder)
    except (NotImplementedError, TypeError, ValueError) as error:
        raise _refused(reference, f"cannot be written ({error})") from error
    if not holds_code(folder / "autoencoder.keras"):
        return None
    account = {
        "function": reference,
        "input_shape": list(input_shape),
        "latent_dim": latent_dim,
    }
    expected = sample_of(parts)
    try:
        again = _rebuilt(account, folder)
    except (DataError, ModelError) as error:
        raise _refused(reference, str(error)) from error
    if not _agree(sample_of(again), expected):
        raise _refused(reference, "is another one each time that it is built")
    return account


def _refused(reference: str, problem: str) -> ModelError:
    return ModelError(
        model=reference,
        problem=problem,
        expected="that later jobs can open what is trained",
        todo="Give each layer of your own a get_config, and let the function build the "
        "same layers in the same order each time.",
    )


def sample_of(parts: Parts) -> dict[str, list[float] | None]:
    """Return what both halves make of one image; None of a half that draws at random."""
    shape = parts.encoder.input_shape[1:]
    image = np.random.default_rng(0).integers(0, 256, (1, *shape)).astype(np.uint8)
    z = _output(parts.encoder, image)
    return {
        "encoder": _kept(parts.encoder, image, z),
        "decoder": _kept(parts.decoder, z, _output(parts.decoder, z)),
    }


def _output(model: keras.Model, x: NDArray[Any]) -> NDArray[Any]:
    key_draws(model, 0)
    return np.asarray(model.predict_on_batch(x))


def _kept(
    model: keras.Model, x: NDArray[Any], found: NDArray[Any]
) -> list[float] | None:
    if draws_at_random(model, x):
        return None
    return [float(value) for value in found.ravel()[:_KEPT]]


def _agree(found: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    return all(_is_near(found.get(half), values) for half, values in expected.items())


def _is_near(found: list[float] | None, expected: list[float] | None) -> bool:
    if found is None or expected is None:
        return found is expected
    one, other = np.asarray(found), np.asarray(expected)
    if one.shape != other.shape:
        return False
    return bool(np.linalg.norm(one - other) <= _TOLERANCE * np.linalg.norm(other))


def rebuilt_parts(model_file: Path, *, word: str | None = None) -> Parts | None:
    """Return the parts that a published model is one of, built again by their code.

    None where its file needs no code.

    Parameters
    ----------
    word
        The function that the user said may be imported, beside those that are known.

    Raises
    ------
    DataError
        If the function may not be imported, is no longer there, or builds another model.
    """
    reference = function_named(model_file)
    if reference is None:
        return None
    refuse_unless_given(
        reference,
        source_of(reference, model_file),
        typed=word,
        named_by=model_file.with_name(ACCOUNT),
    )
    account: Any = read_account(model_file)["model"]
    folder = model_file.parent
    parts = _rebuilt(account, folder)
    if not _agree(sample_of(parts), account.get("sample", {})):
        raise _other_code(account, folder, "makes something else of the same image")
    return parts


def _rebuilt(account: Mapping[str, Any], folder: Path) -> Parts:
    try:
        model = build_custom_model(
            account["function"],
            input_shape=account["input_shape"],
            latent_dim=account["latent_dim"],
        )
        parts = cut_at_latent(model)
    except (ImportError, ModelError, ValueError) as error:
        raise _other_code(account, folder, f"cannot be built ({error})") from error
    for part, name in ((parts.encoder, "encoder"), (parts.decoder, "decoder")):
        refuse_unless_own(folder / f"{name}.keras")
        try:
            part.load_weights(folder / f"{name}.keras")
        except (ValueError, OSError, KeyError) as error:
            problem = f"has other layers than {name}.keras"
            raise _other_code(account, folder, problem) from error
    return parts


def _other_code(account: Mapping[str, Any], folder: Path, problem: str) -> DataError:
    return DataError(
        thing=f"the model of {account['function']} in {folder}",
        problem=problem,
        expected="the code that it was trained with",
        todo="Run this in the folder that holds the module, as it was then, or train "
        "again.",
    )

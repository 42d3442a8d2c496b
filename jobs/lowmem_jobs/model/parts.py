"""Cut an autoencoder in two at its layer ``z``, and write models as plain Keras files."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import keras

from lowmem.base import ModelError, make_folder, remove, storage_errors
from lowmem_jobs.model.autoencoder import LATENT_LAYER
from lowmem_jobs.model.nested import has_inside, laid_flat

if TYPE_CHECKING:
    from pathlib import Path

# The oldest date that a zip archive can hold.
_FIXED_DATE = "1980-01-01@00:00:00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Three models that share their weights: the whole is decoder after encoder."""

    autoencoder: keras.Model
    encoder: keras.Model
    decoder: keras.Model


def cut_at_latent(model: keras.Model) -> Parts:
    """Return the parts of ``model``, as plain uncompiled models.

    Raises
    ------
    ModelError
        If it has no layer ``z``, is not functional, or joins both sides of ``z``.
    """
    flat = laid_flat(model, LATENT_LAYER) if _is_nested(model) else None
    inputs, outputs = model.inputs, model.outputs
    if flat is not None:
        inputs, outputs, latent = flat.inputs, flat.outputs, flat.latent
    else:
        latent = latent_output(model)
    try:
        return Parts(
            # Anew: without the user's own class, optimiser and loss, which a reader of
            # the file would need.
            autoencoder=keras.Model(inputs, outputs, name="autoencoder"),
            encoder=keras.Model(inputs, latent, name="encoder"),
            decoder=keras.Model(latent, outputs, name="decoder"),
        )
    except ValueError as error:
        raise ModelError(
            model=model.name,
            problem=f"cannot be cut at its layer {LATENT_LAYER!r} ({error})",
            expected="that its output depends on the images through that layer alone",
        ) from error


def encoder_of(model: keras.Model) -> keras.Model:
    """Return ``model`` up to its layer ``z``, or as it is where it has none."""
    if _is_nested(model):
        return cut_at_latent(model).encoder
    if any(layer.name == LATENT_LAYER for layer in model.layers):
        # One by itself: in the place of a list of one, PyTorch's steps expect a list.
        inputs = model.inputs[0] if len(model.inputs) == 1 else model.inputs
        return keras.Model(inputs, latent_output(model))
    return model


def _is_nested(model: keras.Model) -> bool:
    outermost = [layer.name for layer in model.layers]
    return LATENT_LAYER not in outermost and has_inside(model, LATENT_LAYER)


def latent_output(model: keras.Model) -> keras.KerasTensor:
    """Return the symbolic output of the layer ``z``.

    Raises
    ------
    ModelError
        If there is none.
    """
    names = [layer.name for layer in model.layers]
    if LATENT_LAYER not in names:
        raise ModelError(
            model=model.name,
            problem=f"has no layer named {LATENT_LAYER!r} (its layers: "
            f"{', '.join(names)})",
            expected="one, where the encoder ends and the decoder begins",
            todo='Give the layer of the latent vector name="z".',
        )
    try:
        return model.get_layer(LATENT_LAYER).output
    except AttributeError as error:
        raise ModelError(
            model=model.name,
            problem="is not a functional model",
            expected="keras.Model(inputs, outputs) or a Sequential with an Input",
        ) from error


def write_parts(parts: Parts, folder: Path) -> None:
    """Write the three files into ``folder``, over what an earlier attempt left."""
    make_folder(folder)
    write_model(parts.autoencoder, folder / "autoencoder.keras")
    write_model(parts.encoder, folder / "encoder.keras")
    write_model(parts.decoder, folder / "decoder.keras")


def write_model(model: keras.Model, path: Path) -> None:
    """Write a ``.keras`` file; equal models give equal bytes.

    Keras writes the time and addresses in memory into its archive. They are replaced
    here, so that files of two runs can be compared.
    """
    draft = path.with_name(f"draft-{path.name}")
    with storage_errors(path):
        model.save(draft)
        with zipfile.ZipFile(draft) as source, zipfile.ZipFile(path, "w") as target:
            for name in sorted(source.namelist()):
                with target.open(
                    zipfile.ZipInfo(name), "w", force_zip64=True
                ) as output:
                    if name in _REPEATABLE:
                        output.write(_REPEATABLE[name](source.read(name)))
                        continue
                    with source.open(name) as content:
                        shutil.copyfileobj(content, output)
    remove(draft)


def _without_date(metadata: bytes) -> bytes:
    document = json.loads(metadata) | {"date_saved": _FIXED_DATE}
    return json.dumps(document).encode()


def _without_addresses(config: bytes) -> bytes:
    """Replace the addresses of objects that layers share by numbers in order."""
    numbers: dict[bytes, int] = {}

    def numbered(match: re.Match[bytes]) -> bytes:
        number = numbers.setdefault(match[2], len(numbers) + 1)
        return match[1] + b"%d" % number

    return re.sub(rb'("shared_object_id": )(\d+)', numbered, config)


_REPEATABLE = {"metadata.json": _without_date, "config.json": _without_addresses}

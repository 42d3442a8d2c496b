"""Look into a model's file before Keras does: it may be anybody's.

Keras's safe mode keeps code out. This keeps out what leads elsewhere: HDF5 lets a file of
weights take its values from other files, by external links, external storage or virtual
datasets, so that a model could carry what its reader alone may read; and a member of the
archive may be named outside it, or unpack to more than any machine has.

It also keeps out what the safe mode of Keras' older releases lets in: a function of Keras'
own in the place of a layer, which is called, layers that take files from elsewhere, and a
`Lambda` in a file of HDF5, for which there was no safe mode.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import h5py  # type: ignore[import-untyped]

from lowmem.base import DataError, refuse_unless_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import IO, Any

_WEIGHTS = (".h5", ".hdf5")
# Weights hardly shrink. From this size on, members must not grow more than so much.
_FROM_BYTES = 2**28
_MAX_RATIO = 100

# Layers that load a program from a file, and one that unpickles.
_PROGRAMS = ("TFSMLayer", "TorchModuleWrapper")
_LAMBDAS = ("Lambda", "__lambda__")
_CONFIG = "config.json"


def refuse_unless_own(path: Path) -> None:
    """Refuse a model's file that takes anything from outside itself.

    What is no archive and no HDF5 file is passed over: Keras says what is wrong with it.
    What is one and cannot be looked through is refused.

    Raises
    ------
    DataError
        Naming what leads elsewhere.

    Notes
    -----
    Reads the directory of the archive, the configuration, and the structure of the
    weights, not the weights.
    """
    refuse_unless_regular(path)
    if not zipfile.is_zipfile(path):
        if path.exists() and h5py.is_hdf5(path):
            _refuse(path, path.name, str(path))
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                _refuse_member(path, info)
                if info.filename == _CONFIG:
                    _refuse_layers(path, archive.read(info), ())
                if info.filename.endswith(_WEIGHTS):
                    with archive.open(info) as stream:
                        _refuse(path, info.filename, stream)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        # What cannot be looked through may lead anywhere: damage, a password, a way of
        # packing that is unknown here.
        raise _damage(path, f"cannot be read ({error})") from error


def _refuse_member(path: Path, info: zipfile.ZipInfo) -> None:
    name = PurePosixPath(info.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts:
        raise _damage(path, f"holds a member named {info.filename!r}")
    most = max(_FROM_BYTES, info.compress_size * _MAX_RATIO)
    if info.file_size > most:
        raise _damage(
            path, f"holds {info.filename}, which unpacks to {info.file_size} bytes"
        )


def _refuse(path: Path, name: str, weights: str | IO[bytes]) -> None:
    try:
        with h5py.File(weights, "r") as file:
            problem = next(_leading_out(file), None)
            config = file.attrs.get("model_config")
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        # Groups within themselves too.
        raise _damage(path, f"holds weights ({name}) that cannot be read") from error
    if problem is not None:
        raise _damage(path, f"holds weights ({name}) with {problem}")
    if config is not None:
        _refuse_layers(path, config, _LAMBDAS)


def objects_in(config: object) -> Iterator[dict[str, Any]]:
    """Yield the mappings of a model's configuration, at any depth: its objects are some."""
    if isinstance(config, dict):
        yield config
        for part in config.values():
            yield from objects_in(part)
    elif isinstance(config, list):
        for part in config:
            yield from objects_in(part)


def _refuse_layers(path: Path, config: str | bytes, refused: Sequence[str]) -> None:
    try:
        found = list(objects_in(json.loads(config)))
    except RecursionError as error:
        raise _damage(path, "is nested too deeply") from error
    except (ValueError, TypeError):
        return  # Keras says what is wrong with it.
    for one in found:
        problem = _reaching_out(one, refused)
        if problem is not None:
            raise _damage(path, f"holds {problem}")


def _reaching_out(one: dict[str, Any], refused: Sequence[str]) -> str | None:
    """Return how an object of a configuration brings a program, or takes a file."""
    for layer in [*_listed(one.get("layers")), one.get("layer")]:
        if isinstance(layer, dict) and _is_function(layer):
            return f"the function {_name_of(layer)} in the place of a layer"
    name, given = one.get("class_name"), one.get("config")
    if name in (*_PROGRAMS, *refused):
        return f"a {name}, which brings code"
    # A function is one that a layer is given, such as its activation.
    if name != "function" and _is_function(one):
        return f"the function {_name_of(one)} in the place of a class"
    vocabulary = given.get("vocabulary") if isinstance(given, dict) else None
    if isinstance(vocabulary, str):
        return f"a {name} with its words in the file {vocabulary}"
    return None


def _listed(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_function(one: dict[str, Any]) -> bool:
    """Return whether what an object names is no class, by the naming of Keras' own."""
    name, module = one.get("class_name"), str(one.get("module"))
    is_own = module.partition(".")[0] in {"keras", "builtins"}
    return is_own and isinstance(name, str) and name[:1].islower()


def _name_of(one: dict[str, Any]) -> str:
    name = one["config"] if one["class_name"] == "function" else one["class_name"]
    return f"{one['module']}.{name}"


def _leading_out(group: h5py.Group) -> Iterator[str]:
    """Yield what of a group is not in its own file, without following it."""
    for name in group:
        link = group.get(name, getlink=True)
        place = f"{group.name.rstrip('/')}/{name}"
        if isinstance(link, h5py.ExternalLink):
            yield f"a link from {place} to the file {link.filename}"
            continue
        if isinstance(link, h5py.SoftLink):
            # It may lead to a group above, and go round for ever.
            continue
        found = group[name]
        if isinstance(found, h5py.Group):
            yield from _leading_out(found)
        elif isinstance(found, h5py.Dataset) and (found.external or found.is_virtual):
            yield f"values of {place} that lie in another file"


def _damage(path: Path, problem: str) -> DataError:
    return DataError(
        thing=path,
        problem=problem,
        expected="a model that holds all of itself",
        todo="Save it anew with model.save(), from a program that you trust.",
    )

"""Which framework Keras computes with: one answer for every process of lowmem.

Keras takes ``KERAS_BACKEND``; else what its own file says; else TensorFlow, whether that
is installed or not. It writes the file itself, TensorFlow in it, when it is first loaded.
So the file counts here only where what it names is installed, and after it whatever is:
a machine with JAX alone needs no setting.

Covers what is installed, without importing any of it. Whether an installed framework
works is for the worker to see.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lowmem.base.errors_backend import MissingBackendError, UnknownBackendError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# In the order in which an installed one is taken.
BACKENDS = ("tensorflow", "jax", "torch")
VARIABLE = "KERAS_BACKEND"
# Keras knows them, and only predicts with them.
_PREDICTING_ONLY = ("numpy", "openvino")
_FILE = "keras.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What was chosen.

    Attributes
    ----------
    name
        As ``KERAS_BACKEND`` has it, also where that cannot be meant; None where nothing
        says and none is installed.
    said_by
        What decided it: the variable, Keras' own file, or that it is installed.
    is_installed
        Whether it can be found.
    """

    name: str | None
    said_by: Literal["variable", "file", "installed"]
    is_installed: bool

    def require(self) -> str:
        """Return its name, if a job can compute with it.

        Raises
        ------
        UnknownBackendError
            If the variable names none that Keras can train with.
        MissingBackendError
            If it is not installed, or none is.
        """
        if self.name is not None and self.name not in BACKENDS:
            raise UnknownBackendError(
                name=self.name,
                is_predicting_only=self.name in _PREDICTING_ONLY,
                known=BACKENDS,
            )
        if self.name is None or not self.is_installed:
            raise MissingBackendError(name=self.name, known=BACKENDS)
        return self.name


def chosen_backend(
    *, variable: str, configured: str | None, installed: Collection[str]
) -> Backend:
    """Return what Keras is to compute with.

    Parameters
    ----------
    variable
        Value of ``KERAS_BACKEND``; empty where it is not set.
    configured
        What Keras' own file names, if anything.
    installed
        Those of `BACKENDS` that are.
    """
    if variable:
        return Backend(
            name=variable, said_by="variable", is_installed=variable in installed
        )
    if configured in BACKENDS and configured in installed:
        return Backend(name=configured, said_by="file", is_installed=True)
    name = next((one for one in BACKENDS if one in installed), None)
    return Backend(name=name, said_by="installed", is_installed=name is not None)


def find_backend(environment: Mapping[str, str]) -> Backend:
    """Return what Keras is to compute with in a process of this environment."""
    return chosen_backend(
        variable=environment.get(VARIABLE, ""),
        configured=_configured(environment.get("KERAS_HOME")),
        installed=[name for name in BACKENDS if _is_installed(name)],
    )


def _configured(home: str | None) -> str | None:
    """Return the backend in Keras' own file; None if there is none that can be read."""
    folder = Path(home).expanduser() if home else _usual_home()
    try:
        document = json.loads((folder / _FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    named = document.get("backend") if isinstance(document, dict) else None
    return named if isinstance(named, str) else None


def _usual_home() -> Path:
    """Return Keras' folder where ``KERAS_HOME`` does not say, by Keras' own rule."""
    base = Path("~").expanduser()
    return (base if os.access(base, os.W_OK) else Path("/tmp")) / ".keras"  # noqa: S108


def _is_installed(name: str) -> bool:
    try:
        spec = util.find_spec(name)
    except ValueError:  # Loaded by something that left no specification.
        return False
    # A folder that merely has the name is a package without a file.
    return spec is not None and spec.origin is not None

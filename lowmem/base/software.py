"""Versions of the software that the bits of a result depend on, read without loading it."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING

from lowmem.base.backends import find_backend

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGES = (
    "lowmem",
    "numpy",
    "scipy",
    "scikit-learn",
    "pillow",
    "zarr",
    "numcodecs",
    "keras",
)
# Of a backend: the packages that compute, by the names they may be installed under.
_BACKEND_PACKAGES = {
    "tensorflow": (("tensorflow", "tensorflow-cpu", "tensorflow-gpu", "tf-nightly"),),
    "jax": (("jax",), ("jaxlib",)),
    "torch": (("torch",),),
}


def software_versions(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the version of Python and of each package that is installed, by name.

    Of the frameworks only the one that Keras computes with in this environment, whose
    name is ``backend``: an update of another changes nothing.
    """
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        found |= _named(package, version_of(package))
    backend = find_backend(environment)
    if backend.name is not None and backend.is_installed:
        found["backend"] = backend.name
        found |= backend_versions(backend.name)
    return found


def backend_versions(backend: str) -> dict[str, str]:
    """Return the versions of the packages of a backend, each by its usual name."""
    found: dict[str, str] = {}
    for names in _BACKEND_PACKAGES.get(backend, ()):
        versions = (version_of(name) for name in names)
        found |= _named(names[0], next(filter(None, versions), None))
    return found


def version_of(package: str) -> str | None:
    """Return the version of an installed package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _named(name: str, version: str | None) -> dict[str, str]:
    return {} if version is None else {name: version}

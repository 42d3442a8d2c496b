"""Public names of a package that load on first use (PEP 562).

A package that a job's author imports from names what its modules define, and loads none of
them: what a planner or the supervisor imports may load no array library, and one name of
`lowmem.stores` is not to load Zarr for another.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def names_of(
    package: str, modules: Mapping[str, Sequence[str]]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package whose names are elsewhere.

    Parameters
    ----------
    package
        Its name, for the message of an unknown attribute.
    modules
        The public names that each module defines.

    Examples
    --------
    >>> load, names = names_of("lowmem.base", {"lowmem.base.units": ["format_bytes"]})
    >>> load("format_bytes")(2**20)
    '1.0 MiB'
    >>> "format_bytes" in names()
    True
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def load(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(homes[name]), name)

    def names() -> list[str]:
        # What a notebook completes: each name, before its module is loaded too.
        return sorted({*vars(sys.modules[package]), *homes})

    return load, names

"""What every other part stands on: errors, configuration, units, clock, files, children.

Nothing here knows of jobs or arrays; only the standard library is used.

Public, for authors of jobs: the errors that end a job with an exit code of its own, files
that are durable once they are written, sizes as text, the clock, and paths as a user
gives them. The names load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.lazy import names_of

if TYPE_CHECKING:
    from lowmem.base.clock import SystemClock
    from lowmem.base.errors import (
        DataError,
        MissingArtefactError,
        MissingDependencyError,
        ModelError,
        OptionValueError,
        StorageError,
        UsageError,
    )
    from lowmem.base.files import (
        make_folder,
        remove,
        rename,
        storage_errors,
        sync_file,
        sync_tree,
        write_file,
    )
    from lowmem.base.outside import read_json, refuse_unless_regular
    from lowmem.base.units import format_bytes
    from lowmem.base.workspace import path_from_text

__all__ = [
    "DataError",
    "MissingArtefactError",
    "MissingDependencyError",
    "ModelError",
    "OptionValueError",
    "StorageError",
    "SystemClock",
    "UsageError",
    "format_bytes",
    "make_folder",
    "path_from_text",
    "read_json",
    "refuse_unless_regular",
    "remove",
    "rename",
    "storage_errors",
    "sync_file",
    "sync_tree",
    "write_file",
]

__getattr__, __dir__ = names_of(
    __name__,
    {
        "lowmem.base.clock": ["SystemClock"],
        "lowmem.base.errors": [
            "DataError",
            "MissingArtefactError",
            "MissingDependencyError",
            "ModelError",
            "OptionValueError",
            "StorageError",
            "UsageError",
        ],
        "lowmem.base.files": [
            "make_folder",
            "remove",
            "rename",
            "storage_errors",
            "sync_file",
            "sync_tree",
            "write_file",
        ],
        "lowmem.base.outside": ["read_json", "refuse_unless_regular"],
        "lowmem.base.units": ["format_bytes"],
        "lowmem.base.workspace": ["path_from_text"],
    },
)

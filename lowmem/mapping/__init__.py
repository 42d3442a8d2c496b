"""Map a function of a block of rows over an array, as a job: no loop of the user's own.

`map_decorator` is the decorator ``lowmem.map`` and `naming` how ``lowmem map`` names
such a job; `map_description` is what the planner knows of it, `map_source` what is
mapped, `sizes` how many rows go where (pure). Only the worker loads `work`, which maps,
`source_rows`, which reads, and `rowwise`, which refuses a function whose result depends
on more than each row.

Public, for authors of jobs that take a function or an array of the user's, each loaded on
first use:

- `function_file`, `module_file`: the file of a function or module, without importing it;
  `load_function`, `import_by_source`: either imported, compiled from its source.
- `find_source`, `MapSource`: an array that a user names; `open_rows` reads it in the
  worker.
- `UnchangedFile`: refuses what was read of a file that changed meanwhile.
- `Function`: calls a function of rows and refuses what is no row for each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.lazy import names_of

if TYPE_CHECKING:
    from lowmem.mapping.function import (
        function_file,
        import_by_source,
        load_function,
        module_file,
    )
    from lowmem.mapping.map_source import MapSource, find_source
    from lowmem.mapping.rowwise import Function
    from lowmem.mapping.source_rows import open_rows
    from lowmem.mapping.unchanged_file import UnchangedFile

__all__ = [
    "Function",
    "MapSource",
    "UnchangedFile",
    "find_source",
    "function_file",
    "import_by_source",
    "load_function",
    "module_file",
    "open_rows",
]

__getattr__, __dir__ = names_of(
    __name__,
    {
        "lowmem.mapping.function": [
            "function_file",
            "import_by_source",
            "load_function",
            "module_file",
        ],
        "lowmem.mapping.map_source": ["MapSource", "find_source"],
        "lowmem.mapping.rowwise": ["Function"],
        "lowmem.mapping.source_rows": ["open_rows"],
        "lowmem.mapping.unchanged_file": ["UnchangedFile"],
    },
)

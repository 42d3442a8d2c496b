"""PROCESS 2, the worker: the only process that loads arrays and ML frameworks.

Started as ``python -m lowmem.worker`` with one request on its standard input; answers
go to the descriptor named in its argument. `__main__` is the order of starting up,
`dispatch` turns requests into answers, `cycles` runs a job, `registry` finds jobs.

Public, for authors of jobs, each loaded on first use: `Helper` and `serve`, a process of
the job's own that answers bytes with bytes; `beside` and `Child`, one that it speaks to in
its own way, and `answer_lines`, the other side of those lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.lazy import names_of

if TYPE_CHECKING:
    from lowmem.base.child import Child
    from lowmem.base.parent import answer_lines
    from lowmem.worker.helper import Helper, beside, serve

__all__ = [
    "Child",
    "Helper",
    "answer_lines",
    "beside",
    "serve",
]

__getattr__, __dir__ = names_of(
    __name__,
    {
        "lowmem.base.child": ["Child"],
        "lowmem.base.parent": ["answer_lines"],
        "lowmem.worker.helper": ["Helper", "beside", "serve"],
    },
)

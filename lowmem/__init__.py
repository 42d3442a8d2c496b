"""lowmem: batch jobs inside a memory budget, resumable to the bit.

A map of the package, from what a person types down to the base:

- `lowmem.cli` parses the command line and chooses the exit code.
- `lowmem.inline` holds a cell, a block or a function of a running program to a budget,
  and runs the jobs from a notebook.
- `lowmem.supervisor` is process 1: it plans, starts, watches, limits and records.
- `lowmem.worker` is process 2: it alone loads NumPy, Zarr and Keras, and runs a job.
- `lowmem.training` is everything that touches Keras.
- `lowmem.checkpoints`, `memory`, `stores`, `report` and `staging` are
  capabilities, independent of each other.
- `lowmem.history` says what the journal's records mean together.
- `lowmem.protocol` is what both processes and every job agree upon.
- `lowmem.base` holds errors, configuration, units, the clock and durable files.

The names below are the public ones. They load on first use, so that ``import lowmem``
stays cheap: the supervisor imports this package too.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lowmem.base.inline_errors import (
        BudgetExceededError,
        FunctionError,
        TimeExceededError,
    )
    from lowmem.base.workspace import Workspace
    from lowmem.inline.guard import budget
    from lowmem.inline.supervised import supervised
    from lowmem.protocol.calibration import Calibration, Trial
    from lowmem.protocol.job import (
        CommitPoint,
        Context,
        Job,
        Need,
        Option,
        PlanContext,
        Result,
        Rung,
    )
    from lowmem.protocol.short_form import job
    from lowmem.training.sequence import ZarrSequence

__version__ = "0.1.0"

__all__ = [
    "BudgetExceededError",
    "Calibration",
    "CommitPoint",
    "Context",
    "FunctionError",
    "Job",
    "Need",
    "Option",
    "PlanContext",
    "Result",
    "Rung",
    "TimeExceededError",
    "Trial",
    "Workspace",
    "ZarrSequence",
    "budget",
    "job",
    "supervised",
]

_HOMES = {
    "Calibration": "lowmem.protocol.calibration",
    "BudgetExceededError": "lowmem.base.inline_errors",
    "CommitPoint": "lowmem.protocol.job",
    "Context": "lowmem.protocol.job",
    "FunctionError": "lowmem.base.inline_errors",
    "Job": "lowmem.protocol.job",
    "Need": "lowmem.protocol.job",
    "Option": "lowmem.protocol.job",
    "PlanContext": "lowmem.protocol.job",
    "Result": "lowmem.protocol.job",
    "Rung": "lowmem.protocol.job",
    "Trial": "lowmem.protocol.calibration",
    "Workspace": "lowmem.base.workspace",
    "ZarrSequence": "lowmem.training.sequence",
    "TimeExceededError": "lowmem.base.inline_errors",
    "budget": "lowmem.inline.guard",
    "job": "lowmem.protocol.short_form",
    # IPython asks for it by this name, for ``%load_ext lowmem``.
    "load_ipython_extension": "lowmem.inline.magic",
    "supervised": "lowmem.inline.supervised",
}


def __getattr__(name: str) -> object:
    """Import the module that defines a public name, when it is first asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'lowmem' has no attribute {name!r}")
    return getattr(import_module(home), name)

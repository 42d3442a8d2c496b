"""lowmem: batch jobs inside a memory budget, resumable to the bit.

A map of the package, from what a person types down to the base:

- `lowmem.cli` parses the command line and chooses the exit code.
- `lowmem.inline` holds a cell, a block or a function of a running program to a budget,
  and runs the jobs from a notebook.
- `lowmem.loops` keeps the state of a loop that somebody wrote, `lowmem.fitting` that of
  Keras' `fit`; `lowmem.states` takes any state apart and puts it back.
- `lowmem.testing` is for authors of jobs: it runs one, kills it and compares.
- `lowmem.pipeline` composes and runs what a command orders; `lowmem.places` knows where
  it runs.
- `lowmem.supervisor` is process 1: it plans, starts, watches, limits and records.
- `lowmem.worker` is process 2: it alone loads NumPy, Zarr and Keras, and runs a job.
- `lowmem.training` is everything that touches Keras.
- `lowmem.mapping` maps a function of rows over an array.
- `lowmem.checkpoints`, `memory`, `stores`, `report` and `staging` are
  capabilities, independent of each other.
- `lowmem.history` says what the journal's records mean together; `lowmem.shards` how
  several processes share the blocks of one job.
- `lowmem.protocol` is what both processes and every job agree upon.
- `lowmem.base` holds errors, configuration, units, the clock and durable files.

The names below are the public ones. They load on first use, so that ``import lowmem``
stays cheap: the supervisor imports this package too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.lazy import names_of

if TYPE_CHECKING:
    from lowmem.base.errors_inline import (
        BudgetExceededError,
        FunctionError,
        RunEndedError,
        TimeExceededError,
    )
    from lowmem.base.workspace import Workspace
    from lowmem.fitting.fit import fit
    from lowmem.fitting.resume import ExactResume
    from lowmem.inline.experiment import Experiment, open  # noqa: A004 - its public name
    from lowmem.inline.guard import budget
    from lowmem.inline.running import plan, run
    from lowmem.inline.supervised import supervised
    from lowmem.loops.checkpoint import Checkpoint
    from lowmem.mapping.map_decorator import map  # noqa: A004 - its public name
    from lowmem.protocol.commit_point import CommitPoint
    from lowmem.protocol.context import Context
    from lowmem.protocol.job import Job, Result, Standing
    from lowmem.protocol.job_decorator import job
    from lowmem.protocol.option import Option
    from lowmem.protocol.planning import (
        Calibration,
        Need,
        PlanContext,
        Rung,
        Settings,
        Trial,
    )
    from lowmem.protocol.row_blocks import RowBlocks
    from lowmem.training.sequence import ZarrSequence

__version__ = "0.1.0"

__all__ = [
    "BudgetExceededError",
    "Calibration",
    "Checkpoint",
    "CommitPoint",
    "Context",
    "ExactResume",
    "Experiment",
    "FunctionError",
    "Job",
    "Need",
    "Option",
    "PlanContext",
    "Result",
    "RowBlocks",
    "RunEndedError",
    "Rung",
    "Settings",
    "Standing",
    "TimeExceededError",
    "Trial",
    "Workspace",
    "ZarrSequence",
    "budget",
    "fit",
    "job",
    "map",
    "open",
    "plan",
    "run",
    "supervised",
]

__getattr__, __dir__ = names_of(
    __name__,
    {
        "lowmem.base.errors_inline": [
            "BudgetExceededError",
            "FunctionError",
            "RunEndedError",
            "TimeExceededError",
        ],
        "lowmem.base.workspace": ["Workspace"],
        "lowmem.fitting.fit": ["fit"],
        "lowmem.fitting.resume": ["ExactResume"],
        "lowmem.inline.experiment": ["Experiment", "open"],
        "lowmem.inline.guard": ["budget"],
        # IPython asks for it by this name, for ``%load_ext lowmem``.
        "lowmem.inline.magic": ["load_ipython_extension"],
        "lowmem.inline.running": ["plan", "run"],
        "lowmem.inline.supervised": ["supervised"],
        "lowmem.loops.checkpoint": ["Checkpoint"],
        "lowmem.mapping.map_decorator": ["map"],
        "lowmem.protocol.context": ["Context"],
        "lowmem.protocol.commit_point": ["CommitPoint"],
        "lowmem.protocol.job": ["Job", "Result", "Standing"],
        "lowmem.protocol.option": ["Option"],
        "lowmem.protocol.planning": [
            "Calibration",
            "Need",
            "PlanContext",
            "Rung",
            "Settings",
            "Trial",
        ],
        "lowmem.protocol.job_decorator": ["job"],
        "lowmem.protocol.row_blocks": ["RowBlocks"],
        "lowmem.training.sequence": ["ZarrSequence"],
    },
)

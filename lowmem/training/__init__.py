"""Everything that touches Keras; imported on the worker's side only.

- `keras_setup`: seeds, determinism, device, memory cap; begins and ends a Keras process.
- `keras_private`: the only file that uses names that Keras keeps to itself.
- `backend`: the only file that calls TensorFlow, JAX or PyTorch by name.
- `sequence`: the batch source, which any Keras user can take alone.
- `next_batch`: what Keras is given in the order of the sequence, whatever it asks for.
- `accumulating`: an optimiser that gathers a batch's gradients from parts.
- `divisible_steps`: whether a step on a batch is the sum of steps on its parts; it is
  tried.
- `steps`: one optimiser step, in one piece or in accumulated micro-batches.
- `state`: all that must be saved so that a resumed training equals an unbroken one.
- `plateau`: smaller steps and early stopping, as values.
- `row_noise`: noise that a model takes as an input, keyed by the row.
- `loop`: epochs, validation and history, cut anywhere.

Public, for authors of jobs, each loaded on first use: `keras_session`; `Training` and
`TrainingPlan`, a training that may be cut at any step; `Plateau`; `RowNoise`; `set_accumulation` and
`sees_the_batch`, for batches that are computed in parts; `kept_generators`, for work that
draws beside a training; `environment`, the versions that last digits depend on;
`flattened_layers`, `global_seed_state`, `is_functional` and `run_through`, what Keras'
releases keep to themselves. `lowmem.ZarrSequence` is the batch source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.lazy import names_of

if TYPE_CHECKING:
    from lowmem.training.backend import environment
    from lowmem.training.keras_private import (
        flattened_layers,
        global_seed_state,
        is_functional,
        run_through,
    )
    from lowmem.training.keras_setup import keras_session
    from lowmem.training.loop import Training, TrainingPlan
    from lowmem.training.plateau import Plateau
    from lowmem.training.row_noise import RowNoise
    from lowmem.training.state import kept_generators
    from lowmem.training.steps import sees_the_batch, set_accumulation

__all__ = [
    "Plateau",
    "RowNoise",
    "Training",
    "TrainingPlan",
    "environment",
    "flattened_layers",
    "global_seed_state",
    "is_functional",
    "kept_generators",
    "keras_session",
    "run_through",
    "sees_the_batch",
    "set_accumulation",
]

__getattr__, __dir__ = names_of(
    __name__,
    {
        "lowmem.training.backend": ["environment"],
        "lowmem.training.keras_private": [
            "flattened_layers",
            "global_seed_state",
            "is_functional",
            "run_through",
        ],
        "lowmem.training.loop": ["Training", "TrainingPlan"],
        "lowmem.training.plateau": ["Plateau"],
        "lowmem.training.keras_setup": ["keras_session"],
        "lowmem.training.row_noise": ["RowNoise"],
        "lowmem.training.state": ["kept_generators"],
        "lowmem.training.steps": ["sees_the_batch", "set_accumulation"],
    },
)

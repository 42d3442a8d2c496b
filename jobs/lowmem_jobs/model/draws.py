"""Layers that draw at random when nothing is trained, such as a VAE's own ``z``.

What they draw must follow from the seed and the place of the images, never from what was
computed before: so the state of every generator is set before each batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.training import flattened_layers, global_seed_state

if TYPE_CHECKING:
    from numpy.typing import NDArray


def key_draws(model: keras.Model, *key: int) -> None:
    """Let what is drawn next follow from ``key`` alone."""
    found = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    for number, state in enumerate([*found, global_seed_state()]):
        words = np.random.SeedSequence([*key, number]).generate_state(2)
        # Below 2**31: backends differ in the type that they keep it in.
        state.assign((words >> 1).astype(str(state.dtype)))


def may_draw(model: keras.Model) -> bool:
    """Return whether a layer is none of Keras' own: those draw in training alone."""
    return any(
        isinstance(layer, keras.layers.Lambda)
        or type(layer).__module__.partition(".")[0] != "keras"
        for layer in flattened_layers(model)
    )


def draws_at_random(model: keras.Model, x: NDArray[Any]) -> bool:
    """Return whether the model makes something else of the same ``x`` by another key."""
    key_draws(model, 0)
    first = np.asarray(model.predict_on_batch(x))
    key_draws(model, 1)
    second = np.asarray(model.predict_on_batch(x))
    return not np.array_equal(first, second, equal_nan=True)

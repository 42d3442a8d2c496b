"""Whether a step on a batch is the sum of the steps on its parts, asked of the model.

It is for every loss that is a mean over images, with what layers add to it. It is not
where a loss sums over the batch, compares images with each other, or takes a root of their
mean, nor where a train step of the user's own steps twice or leaves the optimiser's
`scale_loss` out. None of that can be read off a model, so it is tried: the gradient of
three images at once beside that of two and one, gathered as a training gathers them.

Dropout and noise draw anew for each part, and normalisation sees the part: that is known
and told (`steps.sees_the_batch`). Then the images are three times the same, which
normalisation does not tell apart, and what is left to see is a gradient that is several
times too long or too short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from lowmem.base.errors_recipe import SettingRefusedError
from lowmem.training import backend
from lowmem.training.keras_private import global_seed_state
from lowmem.training.state import value_of
from lowmem.training.steps import sees_the_batch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from lowmem.training.accumulating import InParts
    from lowmem.training.steps import Stepper

# Of the gradient's length: what rounding makes of it, in single and in half precision.
_ROUNDING, _HALF_ROUNDING = 2e-3, 5e-2
# By which a drawn gradient may differ in length; a wrong rule makes it 3.
_DRAWN = 1.7
_UNEQUAL, _SINGLE = (2, 1), (1, 1, 1)
# How bright each image is: where a loss is no mean, dark and bright ones must differ.
_LEVELS = (0.1, 0.5, 1.0)


def refuse_indivisible(model: keras.Model, stepper: Stepper) -> None:
    """Refuse parts of a batch for a model whose step is not their sum.

    Changes variables of the model, and generators: put both back after.

    Raises
    ------
    SettingRefusedError
        If it is not, and micro-batches would be another training.
    """
    was_eager = model.run_eagerly
    model.run_eagerly = True
    try:
        is_same = _is_divisible(model, stepper)
    finally:
        model.run_eagerly = was_eager
        model.train_function = None
    if not is_same:
        raise SettingRefusedError(
            model=model.name,
            problem="takes another step on a batch than on the parts of it together",
            expected="a loss that is a mean over the images, and a train step that uses "
            "the optimiser's scale_loss, where a batch is to be cut into micro-batches",
            todo="Give a larger --ram-budget, under which the batch stays whole, or a "
            "smaller --batch-size.",
        )


def _is_divisible(model: keras.Model, stepper: Stepper) -> bool:
    shape = model.input_shape[1:]
    before = _seed_states(model)
    images = _images(shape, is_repeated=bool(sees_the_batch(model)))
    whole = _gradient(model, stepper, images, (len(images),))
    is_drawn = before != _seed_states(model)
    if is_drawn:
        images = _images(shape, is_repeated=True)
        whole = _gradient(model, stepper, images, (len(images),))
    gathered = _gradient(model, stepper, images, _SINGLE if is_drawn else _UNEQUAL)
    length, other = np.linalg.norm(whole), np.linalg.norm(gathered)
    if not (np.isfinite(length) and np.isfinite(other)) or length == other == 0:
        return True  # Nothing to be seen; a loss that is no number ends the training.
    if is_drawn:
        return bool(length < _DRAWN * other and other < _DRAWN * length)
    is_half = any("16" in str(layer.compute_dtype) for layer in model.layers)
    far = np.linalg.norm(whole - gathered)
    return bool(far <= (_HALF_ROUNDING if is_half else _ROUNDING) * length)


def _seed_states(model: keras.Model) -> list[bytes]:
    """Return what every generator that can be asked would draw next."""
    found = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    states = [value_of(one) for one in [*found, global_seed_state()]]
    states += [value for _, value in backend.generator_states()]
    return [value.tobytes() for value in states]


def _images(shape: tuple[int, ...], *, is_repeated: bool) -> NDArray[np.uint8]:
    random = np.random.default_rng(0)
    one = random.integers(0, 256, shape)
    if is_repeated:
        return np.stack([one] * len(_LEVELS)).astype(np.uint8)
    rows = [level * random.integers(0, 256, shape) for level in _LEVELS]
    return np.stack(rows).astype(np.uint8)


def _gradient(
    model: keras.Model, stepper: Stepper, images: NDArray[Any], sizes: Iterable[int]
) -> NDArray[np.float64]:
    """Return the gathered gradient of all variables, as one vector."""
    optimizer: InParts = model.optimizer
    start = 0
    for size in sizes:
        model.train_function = None
        stepper.gather(images[start : start + size], weight=size / len(images))
        start += size
    found = [value_of(one).astype(np.float64).ravel() for one in optimizer.gathered]
    for place in optimizer.gathered:
        place.assign(keras.ops.zeros(place.shape, place.dtype))
    return np.concatenate(found)

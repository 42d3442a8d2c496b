"""Begin and end the use of Keras in a worker process."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import keras

from lowmem.training import backend
from lowmem.training.keras_private import global_seed_state

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowmem.protocol.planning import Device

_SEED_VALUES = 2**32


@contextmanager
def keras_session(
    *, seed: int, device: Device = "cpu", vram_budget_bytes: int | None = None
) -> Iterator[None]:
    """Seed every generator, make operations deterministic, and clean up at the end.

    Layer names and seeds count from the start inside, so that the same code builds the
    same model with the same names whatever ran before in this process.

    Raises
    ------
    MissingDeviceError
        If ``device`` is ``gpu`` and the backend sees none.
    """
    backend.configure(device=device, vram_budget_bytes=vram_budget_bytes)
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(seed % _SEED_VALUES)
    backend.seed_generator(seed % _SEED_VALUES)
    # Keras makes this generator when it is first used, and draws its seed then: make it
    # now, so that neither depends on when its state is first saved.
    global_seed_state()
    try:
        yield
    finally:
        keras.utils.clear_session()

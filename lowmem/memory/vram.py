"""How much of a VRAM budget a framework's own pool may take; pure.

A framework bounds its pool only. Beside it the device holds the driver's context, the
code of its libraries and their workspaces, which no limit covers: they are subtracted
from the budget beforehand. NVML shows the sum, and the supervisor acts upon that.
"""

from __future__ import annotations

from lowmem.base.errors import DeviceBudgetError
from lowmem.base.units import format_bytes

# bytes; a smaller pool holds no useful step.
SMALLEST_POOL_BYTES = 256 * 2**20
# bytes beside the pool. TensorFlow: a pool of 512 MB was seen to take 1,869 MiB of the
# device in all (tensorflow/tensorflow#53822). JAX and PyTorch: on an H100,
# filled to the brim, the device held 605 and 703 MiB more than the pool
# (`benchmarks/gpu.py`, part cap); and some room.
_BESIDE_POOL_BYTES = {
    "tensorflow": 1_400_000_000,
    "jax": 900_000_000,
    "torch": 900_000_000,
}


def pool_bytes(budget_bytes: int, *, framework: str) -> int:
    """Return the size of the pool with which a framework stays within the budget.

    Parameters
    ----------
    framework
        The backend of Keras: ``tensorflow``, ``jax`` or ``torch``.

    Raises
    ------
    DeviceBudgetError
        If the budget leaves no useful pool.
    """
    beside = _BESIDE_POOL_BYTES.get(framework, max(_BESIDE_POOL_BYTES.values()))
    pool = budget_bytes - beside
    if pool < SMALLEST_POOL_BYTES:
        raise DeviceBudgetError(
            budget=format_bytes(budget_bytes),
            needed=format_bytes(beside + SMALLEST_POOL_BYTES),
        )
    return pool

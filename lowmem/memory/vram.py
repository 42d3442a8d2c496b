"""How much of a VRAM budget a framework's own pool may take; pure.

A framework bounds its pool only. Beside it the device holds the driver's context, the
code of its libraries and their workspaces, which no limit covers: they are subtracted
from the budget beforehand. NVML shows the sum, and the supervisor acts upon that.
"""

from __future__ import annotations

import re

from lowmem.base.errors_backend import DeviceBudgetError
from lowmem.base.units import format_budget, format_bytes

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
# What tells JAX its share of the device: the name that every jaxlib since 0.5 reads (there
# a share under the older name is deprecated, and both together are an error), and the
# only one before. Read in `jaxlib.xla_client.generate_pjrt_gpu_plugin_options` of 0.4.30,
# 0.5.0, 0.6.0, 0.7.2 and 0.12.0.
JAX_SHARE_VARIABLES = ("XLA_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_MEM_FRACTION")
_FIRST_WITH_NEW_NAME = (0, 5)


def jax_share_variable(jaxlib_version: str | None) -> str:
    """Return the environment variable in which a release of jaxlib reads its share.

    Parameters
    ----------
    jaxlib_version
        Such as ``0.7.2``; None, and one that is no such text, counts as the newest.

    Examples
    --------
    >>> jax_share_variable("0.4.30"), jax_share_variable("0.12.0.1")
    ('XLA_PYTHON_CLIENT_MEM_FRACTION', 'XLA_CLIENT_MEM_FRACTION')
    """
    found = re.match(r"(\d+)\.(\d+)", jaxlib_version or "")
    is_old = (
        found is not None and tuple(map(int, found.groups())) < _FIRST_WITH_NEW_NAME
    )
    return JAX_SHARE_VARIABLES[is_old]


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
            budget=format_budget(budget_bytes),
            needed=format_bytes(beside + SMALLEST_POOL_BYTES),
        )
    return pool

"""A worker's device: what its environment says of it, and that it was given back.

JAX reads its share of the device when it begins, XLA and cuBLAS how they choose their
algorithms; none of it can be set later. On the CPU every device is hidden instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from lowmem.base.backends import VARIABLE
from lowmem.memory.vram import JAX_SHARE_VARIABLES, jax_share_variable, pool_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowmem.base.clock import Clock
    from lowmem.memory.gpu import GpuSampler

# The fastest algorithm differs from run to run; the same one must be taken each time.
_DETERMINISTIC_XLA = "--xla_gpu_deterministic_ops=true"
# Demanded by PyTorch's deterministic mode: cuBLAS with workspaces of fixed size.
_CUBLAS_WORKSPACES = ":4096:8"
# seconds to wait for a device to be given back, and between two looks at it. The driver
# frees the memory of a killed process some time after it: 161 ms with JAX and 208 ms
# with PyTorch on an H100 (`benchmarks/gpu.py`, part give-back).
_DEVICE_BACK_S = 10.0
_DEVICE_LOOK_S = 0.05
# bytes by which a device that was given back may differ from before: tables of pages.
_DEVICE_SLACK_BYTES = 64 * 2**20
# seconds between two looks while a worker runs: each costs 0.2 ms.
_READ_INTERVAL_S = 0.25


def device_environment(
    *,
    device: str,
    inherited: Mapping[str, str],
    vram_budget_bytes: int | None = None,
    vram_total_bytes: int | None = None,
    jaxlib_version: str | None = None,
) -> dict[str, str | None]:
    """Return the variables to set, or to remove where None.

    Parameters
    ----------
    inherited
        The environment to build upon, ``KERAS_BACKEND`` in it.
    vram_total_bytes
        Memory of the device in all, of which JAX is told its share.
    jaxlib_version
        Of the one that is installed, if any.

    Raises
    ------
    DeviceBudgetError
        If the budget leaves no useful memory on the device.
    """
    if device == "cpu":
        return {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
    flags = inherited.get("XLA_FLAGS", "")
    if "xla_gpu_deterministic_ops" not in flags:
        flags = f"{flags} {_DETERMINISTIC_XLA}".strip()
    variables: dict[str, str | None] = {
        "XLA_FLAGS": flags,
        "CUBLAS_WORKSPACE_CONFIG": _CUBLAS_WORKSPACES,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    if vram_budget_bytes is not None and vram_total_bytes:
        framework = inherited.get(VARIABLE, "")
        share = pool_bytes(vram_budget_bytes, framework=framework) / vram_total_bytes
        # JAX refuses to start with both.
        variables |= dict.fromkeys(JAX_SHARE_VARIABLES)
        variables[jax_share_variable(jaxlib_version)] = f"{min(share, 0.95):.6f}"
    return variables


def await_device(gpu: GpuSampler, clock: Clock, base_bytes: int) -> bool:
    """Wait until the memory of an ended worker is back; return whether the device is.

    Parameters
    ----------
    base_bytes
        What was in use before the worker started.
    """
    give_up_at = clock.monotonic() + _DEVICE_BACK_S
    while True:
        device = gpu.read()
        if device is not None and device.used_bytes <= base_bytes + _DEVICE_SLACK_BYTES:
            return True
        # One reading may fail and the device be there; if none succeeds, it is not.
        if gpu.is_lost or clock.monotonic() > give_up_at:
            return device is not None
        clock.sleep(_DEVICE_LOOK_S)


@dataclass(slots=True, kw_only=True)
class JobDevice:
    """The device beside one worker, and what is in use of it.

    Attributes
    ----------
    name, total_bytes
        Of the device; None where there is none.
    base_bytes
        What was in use before the worker started, by others.
    used_bytes
        What was in use beyond that by the newest reading; None before the first.
    """

    gpu: GpuSampler
    name: str | None = None
    total_bytes: int | None = None
    base_bytes: int = 0
    used_bytes: int | None = None
    _due: float = 0.0

    @classmethod
    def before_a_worker(cls, gpu: GpuSampler) -> Self:
        """Return the device as it is before a worker starts."""
        found = gpu.read()
        if found is None:
            return cls(gpu=gpu)
        return cls(
            gpu=gpu,
            name=found.name,
            total_bytes=found.total_bytes,
            base_bytes=found.used_bytes,
        )

    @property
    def is_lost(self) -> bool:
        """Whether a device that was there has gone, by the newest reading."""
        return self.gpu.is_lost

    def read(self, clock: Clock) -> int | None:
        """Return what is in use beyond the base; None if no reading is due, or it fails."""
        now = clock.monotonic()
        if now < self._due:
            return None
        self._due = now + _READ_INTERVAL_S
        found = self.gpu.read()
        if found is None:
            return None
        self.used_bytes = max(0, found.used_bytes - self.base_bytes)
        return self.used_bytes

    def is_back(self, clock: Clock) -> bool:
        """Wait for the memory of the ended worker; return whether the device is there."""
        return await_device(self.gpu, clock, self.base_bytes)

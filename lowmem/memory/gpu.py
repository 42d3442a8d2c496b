"""Device memory through NVML, by either of the two packages called ``pynvml``.

``nvidia-ml-py`` is NVIDIA's own and current; ``nvidia-ml-py3`` is a fork of 2017 that
installs the same module, returns bytes instead of str and knows fewer calls. Only calls
that both have are used. By-process figures are not: inside a container the driver
reports the host's process ids.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import ModuleType

# Bytes; a free Colab GPU.
_DEFAULT_VRAM_BYTES = 15 * 10**9
# Of both bindings: the device fell off the bus, must be reset, or its driver has gone.
_LOSS_CODES = frozenset(
    {15, 16, 9}  # GPU_IS_LOST, RESET_REQUIRED, DRIVER_NOT_LOADED
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One look at one device; bytes of its memory."""

    name: str
    total_bytes: int
    used_bytes: int


def _has_driver() -> bool:
    """Return whether there is anything to ask: the bindings alone take 6 MiB."""
    if "pynvml" in sys.modules:
        return True
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


class GpuSampler:
    """Reads the first device; None everywhere where there is none. A context manager.

    Attributes
    ----------
    is_lost
        Whether the newest reading failed because a device that was there has gone.
    """

    def __init__(self) -> None:
        self.is_lost = False
        self._nvml: ModuleType | None = None
        self._handle: object = None

    def __enter__(self) -> Self:
        if not _has_driver():
            return self
        try:
            import pynvml  # noqa: PLC0415 - absent or broken must not stop a CPU run

            pynvml.nvmlInit()
        except Exception:  # noqa: BLE001 - both packages raise their own classes
            return self
        self._nvml = pynvml
        try:
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        except pynvml.NVMLError:
            self._handle = None
        return self

    def __exit__(self, *_: object) -> None:
        if self._nvml is not None:
            try:
                self._nvml.nvmlShutdown()
            except self._nvml.NVMLError:
                return

    def read(self) -> Gpu | None:
        """Return the device's state; None where there is none, or it has gone."""
        if self._nvml is None or self._handle is None:
            return None
        try:
            memory = self._nvml.nvmlDeviceGetMemoryInfo(self._handle)
            name = self._nvml.nvmlDeviceGetName(self._handle)
        except self._nvml.NVMLError as error:
            self.is_lost = getattr(error, "value", None) in _LOSS_CODES
            return None
        self.is_lost = False
        text = name.decode() if isinstance(name, bytes) else str(name)
        return Gpu(
            name=text, total_bytes=int(memory.total), used_bytes=int(memory.used)
        )


def default_vram_budget_bytes() -> int | None:
    """Return the VRAM budget where the user gives none; None without a GPU."""
    with GpuSampler() as gpu:
        device = gpu.read()
    return None if device is None else min(_DEFAULT_VRAM_BYTES, device.total_bytes)


def binding_problem() -> str | None:
    """Return what is wrong with the installed NVML packages, or None."""
    installed = [
        name for name in ("nvidia-ml-py", "nvidia-ml-py3", "pynvml") if _is_there(name)
    ]
    if {"nvidia-ml-py", "nvidia-ml-py3"} <= set(installed):
        return (
            "nvidia-ml-py and nvidia-ml-py3 both install the module pynvml; the last "
            "one installed wins. Uninstall both, then install nvidia-ml-py"
        )
    if "nvidia-ml-py3" in installed:
        return "nvidia-ml-py3 is unmaintained since 2017: replace it by nvidia-ml-py"
    return None


def _is_there(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True

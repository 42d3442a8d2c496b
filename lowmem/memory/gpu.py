"""Device memory through NVML, by either of the two packages called ``pynvml``.

``nvidia-ml-py`` is NVIDIA's own and current; ``nvidia-ml-py3`` is a fork of 2017 that
installs the same module, returns bytes instead of str and knows fewer calls. Only calls
that both have are used. By-process figures are not: inside a container the driver
reports the host's process ids.
"""

from __future__ import annotations

import csv
import ctypes
import sys
import warnings
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import ModuleType

# Bytes; a free Colab GPU.
_DEFAULT_VRAM_BYTES = 15 * 10**9
_MODULE = "pynvml"
_FORK = "nvidia-ml-py3"
# Packages that install that module, or did; the first is the one to have.
_BINDINGS = ("nvidia-ml-py", _FORK, "pynvml")
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
    """Return what is wrong with the installed NVML packages, or None.

    Two that own one module hide or overwrite each other, and whichever is uninstalled
    takes the module of both along: the other is listed still, and reads nothing.
    """
    owners = {name: _owns_module(name) for name in _BINDINGS}
    installed = [name for name, owns in owners.items() if owns is not None]
    owning = [name for name, owns in owners.items() if owns]
    if len(owning) > 1:
        return (
            f"{' and '.join(owning)} each install the module {_MODULE}, and one hides the "
            f"others. Uninstall them: pip uninstall {' '.join(owning)}, then pip install "
            f"{_BINDINGS[0]}"
        )
    if installed and not _has_module():
        return (
            f"{' and '.join(installed)} is listed as installed, but the module {_MODULE} "
            "is gone, so no GPU is read: pip install --force-reinstall "
            f"{_BINDINGS[0]}"
        )
    if _FORK in installed:
        return f"{_FORK} is unmaintained since 2017: replace it by {_BINDINGS[0]}"
    return None


def _owns_module(package: str) -> bool | None:
    """Return whether a package says that it installed the module; None without it.

    Its record is read as it is: `Distribution.files` may leave out what is not there.
    One without a record, as of a system's own packages, is judged by its name: ``pynvml``
    has been a layer over the first of them since its release 12.
    """
    try:
        record = metadata.distribution(package).read_text("RECORD")
    except metadata.PackageNotFoundError:
        return None
    if record is None:
        return package != _MODULE
    paths = (row[0] for row in csv.reader(record.splitlines()) if row)
    return any(path.split("/")[0] in {_MODULE, f"{_MODULE}.py"} for path in paths)


def _has_module() -> bool:
    try:
        # A hook of pynvml's own warns whoever looks for it.
        with warnings.catch_warnings(action="ignore"):
            return find_spec(_MODULE) is not None
    except ValueError:  # It is loaded, and does not say from where.
        return sys.modules.get(_MODULE) is not None

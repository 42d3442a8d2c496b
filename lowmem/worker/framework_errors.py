"""What an error of a framework says of memory and device, from its name and words.

Covers TensorFlow, JAX and PyTorch. Their classes are not compared: importing one costs
hundreds of megabytes in jobs that do not use it. On the CPU no error is taken for one of
a device.
"""

from __future__ import annotations

import errno
from enum import Enum, auto
from typing import TYPE_CHECKING

from lowmem.base.errors import LowmemError

if TYPE_CHECKING:
    from lowmem.protocol.planning import Device


class Ailment(Enum):
    """What was lacking."""

    RAM = auto()
    VRAM = auto()
    DEVICE = auto()


# Classes that have no other meaning: TensorFlow's, and PyTorch's for a device.
_NO_MEMORY = frozenset({"ResourceExhaustedError", "OutOfMemoryError"})
# Words of classes that mean much else: JAX's XlaRuntimeError and JaxRuntimeError, and
# the RuntimeError and InternalError of the others.
_NO_MEMORY_WORDS = ("RESOURCE_EXHAUSTED",)
# PyTorch's for RAM, whatever the device.
_NO_RAM_WORDS = ("DefaultCPUAllocator:",)
_NO_DEVICE_MEMORY_WORDS = (
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    # What cuBLAS says where its handle finds no memory.
    "CUBLAS_STATUS_NOT_INITIALIZED",
)
_NO_DEVICE_WORDS = (
    "CUDA_ERROR_NO_DEVICE",
    "CUDA_ERROR_DEVICE_UNAVAILABLE",
    "no CUDA-capable device",
    "CUDA-capable device(s) is/are busy or unavailable",
    "GPU is lost",
    "fallen off the bus",
    "uncorrectable ECC error",
    "driver shutting down",
)
_MEANINGS: dict[Device, tuple[tuple[Ailment, tuple[str, ...]], ...]] = {
    "cpu": ((Ailment.RAM, _NO_RAM_WORDS + _NO_MEMORY_WORDS),),
    "gpu": (
        (Ailment.DEVICE, _NO_DEVICE_WORDS),
        (Ailment.RAM, _NO_RAM_WORDS),
        (Ailment.VRAM, _NO_DEVICE_MEMORY_WORDS + _NO_MEMORY_WORDS),
    ),
}
_FRAMEWORK_ERRORS = frozenset(
    {"XlaRuntimeError", "JaxRuntimeError", "RuntimeError", "InternalError"}
    | {"AcceleratorError", "UnknownError", "FailedPreconditionError"}
)


def ailment_of(error: BaseException, *, device: Device) -> Ailment | None:
    """Return what was lacking; None if the error says nothing of the kind."""
    if isinstance(error, LowmemError):
        return None
    # What mmap, fork and their like say where a limit of memory refuses them.
    is_refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if is_refused or isinstance(error, MemoryError):
        return Ailment.RAM
    name, text = type(error).__name__, str(error)
    if name in _NO_MEMORY:
        return Ailment.VRAM if _is_on_device(name, text, device) else Ailment.RAM
    if name not in _FRAMEWORK_ERRORS:
        return None
    return _first_meant(text, _MEANINGS[device])


def _first_meant(
    text: str, meanings: tuple[tuple[Ailment, tuple[str, ...]], ...]
) -> Ailment | None:
    """Return the first ailment any of whose words stand in ``text``."""
    for ailment, words in meanings:
        if any(word in text for word in words):
            return ailment
    return None


def _is_on_device(name: str, text: str, device: Device) -> bool:
    """Tell apart TensorFlow's error, which means either; it names the allocator."""
    return device == "gpu" and (name == "OutOfMemoryError" or "GPU" in text)

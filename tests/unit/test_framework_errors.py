"""What the errors of three frameworks are taken for, on the CPU and on a GPU.

The words are those of TensorFlow 2.21, JAX 0.10 and PyTorch 2.11.
"""

from __future__ import annotations

import errno
import mmap

import pytest

from lowmem.base.errors_backend import DeviceBudgetError
from lowmem.worker.failure import failure_from_exception
from lowmem.worker.framework_errors import Ailment, ailment_of

NO_POOL = "OOM when allocating tensor with shape[9] on /device:GPU:0 by GPU_0_bfc"
NO_RAM = "OOM when allocating tensor with shape[9] on /device:CPU:0 by cpu"
NO_JAX = "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes."
NO_TORCH_RAM = "[enforce fail] DefaultCPUAllocator: can't allocate memory"
NO_BLAS = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
LOST = "CUDA error: no CUDA-capable device is detected"


def named(name, text):
    """Return an error as a framework raises it, without the framework."""
    return type(name, (Exception,), {})(text)


CASES = [
    ("ResourceExhaustedError", NO_POOL, Ailment.RAM, Ailment.VRAM),
    ("ResourceExhaustedError", NO_RAM, Ailment.RAM, Ailment.RAM),
    ("OutOfMemoryError", "CUDA out of memory.", Ailment.RAM, Ailment.VRAM),
    ("XlaRuntimeError", NO_JAX, Ailment.RAM, Ailment.VRAM),
    ("JaxRuntimeError", NO_JAX, Ailment.RAM, Ailment.VRAM),
    ("JaxRuntimeError", "INTERNAL: a bug", None, None),
    ("RuntimeError", NO_TORCH_RAM, Ailment.RAM, Ailment.RAM),
    ("RuntimeError", NO_BLAS, None, Ailment.VRAM),
    ("AcceleratorError", "CUDA error: out of memory", None, Ailment.VRAM),
    ("AcceleratorError", LOST, None, Ailment.DEVICE),
    ("InternalError", "CUDA_ERROR_NO_DEVICE", None, Ailment.DEVICE),
    ("RuntimeError", "no such luck", None, None),
    ("MyError", NO_BLAS, None, None),
]


@pytest.mark.parametrize(("name", "text", "on_cpu", "on_gpu"), CASES)
def test_an_error_is_taken_for_what_was_lacking(name, text, on_cpu, on_gpu):
    error = named(name, text)
    assert ailment_of(error, device="cpu") is on_cpu
    assert ailment_of(error, device="gpu") is on_gpu


def test_on_the_cpu_nothing_is_taken_for_an_error_of_a_device():
    answers = {ailment_of(named(name, text), device="cpu") for name, text, *_ in CASES}
    assert answers == {None, Ailment.RAM}


def test_a_lack_of_ram_is_that_on_any_device():
    assert ailment_of(MemoryError(), device="gpu") is Ailment.RAM


def test_what_lowmem_raises_itself_speaks_for_itself():
    error = DeviceBudgetError(budget="1 GB", needed="2 GB")
    assert ailment_of(error, device="gpu") is None


@pytest.mark.parametrize(
    ("name", "text", "told", "status"),
    [
        ("JaxRuntimeError", NO_JAX, "DeviceMemoryError", 73),
        ("AcceleratorError", LOST, "DeviceLostError", 69),
    ],
)
def test_the_supervisor_is_told_by_name_and_without_a_traceback(
    name, text, told, status
):
    failure = failure_from_exception(named(name, text), device="gpu")
    assert (failure.kind, failure.exit_code) == (told, status)
    assert failure.message == f"{name}: {text}"
    assert not failure.traceback


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_a_mapping_or_a_fork_that_is_refused_for_memory_lacked_memory(device):
    with pytest.raises(OSError, match="Cannot allocate") as refused:
        mmap.mmap(-1, 2**60)
    assert ailment_of(refused.value, device=device) is Ailment.RAM
    full = OSError(errno.ENOSPC, "No space left on device")
    assert ailment_of(full, device=device) is None

from __future__ import annotations

import errno
import sysconfig

import pytest

from lowmem.base.errors import DataError, StorageError
from lowmem.base.frames import is_library
from lowmem.protocol.messages import answer_from_line, line_from_message
from lowmem.worker.failure import failure_from_exception


class ResourceExhaustedError(Exception):
    """Has the name that TensorFlow gives a failed allocation."""


def fail(error):
    raise error


def raised(error):
    try:
        fail(error)
    except BaseException as caught:  # noqa: BLE001 - SystemExit too
        return failure_from_exception(caught)


@pytest.mark.parametrize(
    ("error", "status", "has_traceback"),
    [
        (DataError(thing="x.npy", problem="is torn", expected="rows"), 65, False),
        (StorageError(path="x", problem="full"), 74, False),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 74, False),
        (OSError(errno.EIO, "Input/output error"), 74, False),
        (OSError(errno.EROFS, "Read-only file system", "x"), 74, False),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "x"), 74, False),
        (FileNotFoundError(errno.ENOENT, "No such file", "x"), 70, True),
        (ModuleNotFoundError("No module named 'keras'", name="keras"), 69, False),
        (ModuleNotFoundError("No module named 'nice'", name="nice"), 70, True),
        (ModuleNotFoundError("No ... 'zarr.nice'", name="zarr.nice"), 70, True),
        (ImportError("cannot import name"), 70, True),
        (MemoryError(), 73, False),
        (ResourceExhaustedError("OOM when allocating"), 73, False),
        (ZeroDivisionError("division by zero"), 70, True),
        (SystemExit(3), 70, True),
        (ValueError(), 70, True),
    ],
    ids=repr,
)
def test_each_error_gets_its_status_and_a_traceback_only_if_the_job_is_at_fault(
    error, status, has_traceback
):
    failure = raised(error)
    assert failure.exit_code == status
    assert bool(failure.traceback) == has_traceback
    assert failure.message
    assert failure.where.startswith("test_failure.py:")
    assert answer_from_line(line_from_message(failure)) == failure


def test_of_a_long_message_the_first_line_is_told():
    assert raised(KeyError("a\nb")).message == "KeyError: 'a\\nb'"
    assert raised(ValueError("first\nsecond")).message == "ValueError: first"


def test_a_missing_package_is_named_as_it_is_installed():
    failure = raised(ModuleNotFoundError("No module named 'PIL'", name="PIL"))
    assert failure.exit_code == 69
    assert "pip install pillow" in failure.message


@pytest.mark.parametrize(
    ("file", "answer"),
    [
        ("lowmem_jobs/train/work.py", False),
        ("lowmem/stores/row_reader.py", False),
        ("lowmem/worker/cycles.py", True),
        ("lowmem_other/work.py", True),
        ("keras/models.py", True),
    ],
)
def test_installed_from_a_wheel_lowmem_is_no_library_but_its_machinery(file, answer):
    assert is_library(f"{sysconfig.get_path('purelib')}/{file}") == answer

"""How hypothesis searches, and what every test that starts processes must leave behind."""

from __future__ import annotations

import gc
import os
import signal
import time

import psutil
import pytest
import zarr
from hypothesis import HealthCheck, settings

from lowmem.base.backends import VARIABLE, find_backend

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "nightly", max_examples=2000, deadline=None, stateful_step_count=100
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

# Keras takes TensorFlow where nothing says otherwise, installed or not.
_BACKEND = find_backend(os.environ)
if _BACKEND.name not in {None, "tensorflow"}:
    os.environ[VARIABLE] = _BACKEND.name

# seconds; a killed process takes a moment to leave the table.
_PATIENCE_S = 5.0


@pytest.fixture(scope="module", autouse=True)
def what_is_loaded_is_not_searched_for_garbage():
    """Let each clean-up of a cycle look at what a test made, and not at all of Keras."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def an_interrupt_is_heard():
    """Let it be heard by what tests start, also where a shell runs them in the background."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture(scope="session", autouse=True)
def what_is_said_in_tests_is_not_kept_for_the_user(tmp_path_factory):
    """Keep the words for code that tests give in a state folder of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def zarr_has_begun():
    """Start Zarr's event loop: it and its descriptors stay from the first use on."""
    zarr.zeros((1,), store=zarr.storage.MemoryStore())


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request):
    """Assert that a test of processes leaves no child and no open descriptor."""
    if request.node.get_closest_marker("process") is None:
        yield
        return
    before = _descriptors()
    yield
    assert _settled_children() == []
    assert _descriptors() <= before


def _settled_children() -> list[psutil.Process]:
    give_up_at = time.monotonic() + _PATIENCE_S
    while (left := _live_children()) and time.monotonic() < give_up_at:
        time.sleep(0.01)
    return left


def _live_children() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children(recursive=True)
        if child.status() != psutil.STATUS_ZOMBIE
    ]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - counts, opens no path

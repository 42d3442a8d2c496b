"""Waiting for the memory of a device, and telling one that has gone."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from lowmem.memory.gpu import Gpu
from lowmem.supervisor.device import await_device

BASE = 100 * 2**20


@dataclass
class Clock:
    """A clock that only sleeping moves."""

    now_s: float = 0.0

    def monotonic(self):
        return self.now_s

    def sleep(self, seconds):
        self.now_s += seconds


@dataclass
class Device:
    """Readings one after the other, the last for ever; "lost" and "failed" are none."""

    readings: list
    is_lost: bool = False
    n_read: int = field(default=0)

    def read(self):
        found = self.readings[min(self.n_read, len(self.readings) - 1)]
        self.n_read += 1
        self.is_lost = found == "lost"
        if isinstance(found, str):
            return None
        return Gpu(name="T4", total_bytes=15 * 2**30, used_bytes=found)


@pytest.mark.parametrize(
    ("readings", "is_there", "seconds"),
    [
        ([BASE], True, 0.0),
        ([2**33, 2**33, BASE], True, 0.1),
        (["failed", BASE], True, 0.05),
        (["lost"], False, 0.0),
        ([2**33, "lost"], False, 0.05),
    ],
)
def test_a_reading_that_fails_once_is_no_lost_device(readings, is_there, seconds):
    clock = Clock()
    assert await_device(Device(readings), clock, BASE) is is_there
    assert clock.now_s == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("readings", "is_there"), [([2**33], True), (["failed"], False)]
)
def test_a_device_is_not_waited_for_without_end(readings, is_there):
    clock = Clock()
    assert await_device(Device(readings), clock, BASE) is is_there
    assert 5 < clock.now_s < 30

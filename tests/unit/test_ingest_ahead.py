from __future__ import annotations

import threading

import numpy as np
import pytest

from lowmem_jobs.ingest.ahead import outcomes
from lowmem_jobs.ingest.entries import Entry, UnreadableError


class Counted:
    """A source that knows who decoded what, and how many did at once."""

    is_threaded = True

    def __init__(self, n_entries: int, n_bytes: int = 9) -> None:
        self._n_entries = n_entries
        self._n_bytes = n_bytes
        self._lock = threading.Lock()
        self._n_now = 0
        self.most_at_once = 0
        self.n_fetched = 0
        self.loaded: list[int] = []
        self.by: set[str] = set()

    def __len__(self) -> int:
        return self._n_entries

    def entry(self, index):
        return Entry(f"{index}", n_bytes=self._n_bytes, place=index)

    def fetch(self, entry):
        self.n_fetched += 1
        if entry.place % 5 == 3:
            raise UnreadableError("not fetched")
        return entry.place

    def load(self, stored):
        with self._lock:
            self._n_now += 1
            self.most_at_once = max(self.most_at_once, self._n_now)
            self.loaded.append(stored)
            self.by.add(threading.current_thread().name)
        pixels = np.sort(np.random.default_rng(stored).random(2000))
        with self._lock:
            self._n_now -= 1
        if stored % 7 == 2:
            raise UnreadableError("not decoded")
        return pixels


def reason(index):
    if index % 5 == 3:
        return "not fetched"
    return "not decoded" if index % 7 == 2 else ""


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("n_ahead", [1, 3, 64])
def test_every_entry_is_decoded_once_and_comes_in_order(n_ahead, n_threads):
    source = Counted(400)
    with outcomes(source, 7, n_ahead=n_ahead, n_threads=n_threads) as found:
        taken = list(found)
    assert [one.index for one in taken] == list(range(7, 400))
    assert [one.name for one in taken] == [f"{index}" for index in range(7, 400)]
    assert [one.reason for one in taken] == [reason(i) for i in range(7, 400)]
    assert sorted(source.loaded) == [i for i in range(7, 400) if i % 5 != 3]
    assert source.most_at_once <= min(n_threads, n_ahead)


def test_the_thread_that_takes_the_images_decodes_too():
    source = Counted(400)
    with outcomes(source, 0, n_ahead=64, n_threads=2) as found:
        assert len(list(found)) == 400
    assert threading.current_thread().name in source.by
    alone = Counted(40)
    with outcomes(alone, 0, n_ahead=1, n_threads=1) as found:
        assert len(list(found)) == 40
    assert alone.by == {threading.current_thread().name}


def test_no_more_is_fetched_ahead_than_may_wait():
    source = Counted(400)
    with outcomes(source, 0, n_ahead=16, n_threads=2) as found:
        next(found)
        assert source.n_fetched <= 16 + 2
    large = Counted(400, n_bytes=2**24)
    with outcomes(large, 0, n_ahead=16, n_threads=2) as found:
        next(found)
        assert large.n_fetched <= 3

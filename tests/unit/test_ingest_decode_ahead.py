from __future__ import annotations

import io
import os
import resource
import select
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lowmem_jobs.ingest.decode_ahead import outcomes
from lowmem_jobs.ingest.decode_tasks import DecodeTask, Slots, image_of
from lowmem_jobs.ingest.decoder_processes import decoding_processes
from lowmem_jobs.ingest.entries import Entry
from lowmem_jobs.ingest.framing import Framing
from lowmem_jobs.ingest.image_decoder import Decoder
from lowmem_jobs.ingest.large_images import Turns
from lowmem_jobs.ingest.unreadable import UnreadableError

SIZE = 8
SLOTS = Slots(n_slots=2, n_images=2, encoded_bytes=2**16, side=SIZE)
# Alone in an interpreter: a decoding process, whose number it prints, and no end.
STARTER = """
import sys
from tests.unit.test_ingest_decode_ahead import SLOTS, decoder
from lowmem_jobs.ingest.decoder_processes import decoding_processes
with decoding_processes(1, decoder(), SLOTS) as helpers:
    print(helpers[0]._process.pid, flush=True)
    sys.stdin.read()
"""


def decoder():
    return Decoder(Framing(size=SIZE, crop="none"))


def png(number):
    stream = io.BytesIO()
    Image.fromarray(colours(number)).save(stream, "PNG")
    return stream.getvalue()


def colours(number):
    return np.full((SIZE, SIZE, 3), (number % 256, number // 256, 7), np.uint8)


class Counted:
    """Images that show their number; it knows what was fetched, and what made here."""

    def __init__(self, n_entries: int, n_bytes: int = 99) -> None:
        self.decoder = decoder()
        self._n_entries = n_entries
        self._n_bytes = n_bytes
        self.fetched: list[int] = []
        self.n_here = 0

    def __len__(self) -> int:
        return self._n_entries

    def entry(self, index):
        return Entry(f"{index}", n_bytes=self._n_bytes, place=index)

    def fetch(self, entry):
        self.fetched.append(entry.place)
        if entry.place % 5 == 3:
            raise UnreadableError("not fetched")
        data = b"no image" if entry.place % 7 == 2 else png(entry.place)
        return DecodeTask("file", (), data)

    def load(self, stored):
        self.n_here += 1
        return np.asarray(image_of(stored, self.decoder))


def reason(index):
    if index % 5 == 3:
        return "not fetched"
    return "not an image that Pillow can read" if index % 7 == 2 else ""


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize("n_processes", [1, 2, 4])
@pytest.mark.parametrize("n_ahead", [1, 3, 64])
def test_every_entry_is_decoded_once_and_comes_in_order(n_ahead, n_processes):
    source = Counted(400)
    with outcomes(source, 7, n_ahead=n_ahead, n_processes=n_processes) as found:
        taken = list(found)
    assert source.fetched == list(range(7, 400))
    assert [one.index for one in taken] == list(range(7, 400))
    assert [one.name for one in taken] == [f"{index}" for index in range(7, 400)]
    assert [one.reason for one in taken] == [reason(i) for i in range(7, 400)]
    for one in taken:
        if one.pixels is not None:
            np.testing.assert_array_equal(one.pixels, colours(one.index))
        assert (one.pixels is None) == bool(one.reason)


@pytest.mark.slow
@pytest.mark.process
def test_the_process_that_takes_the_images_decodes_as_well_as_the_other():
    source = Counted(4000)
    n_images = sum(not reason(index) for index in range(4000))
    with outcomes(source, 0, n_ahead=64, n_processes=2) as found:
        assert sum(one.pixels is not None for one in found) == n_images
    assert 0 < source.n_here < n_images


@pytest.mark.slow
@pytest.mark.process
def test_what_does_not_fit_into_shared_memory_is_decoded_here(monkeypatch):
    # Bytes for a batch: too few for any image.
    monkeypatch.setattr("lowmem_jobs.ingest.decode_ahead.WAITING_BYTES", 80)
    source = Counted(40)
    with outcomes(source, 0, n_ahead=64, n_processes=2) as found:
        n_images = sum(one.pixels is not None for one in found)
    assert n_images == sum(not reason(index) for index in range(40))
    assert source.n_here >= n_images


@pytest.mark.slow
@pytest.mark.process
def test_no_more_is_fetched_ahead_than_may_wait():
    source = Counted(400)
    with outcomes(source, 0, n_ahead=16, n_processes=2) as found:
        next(found)
        assert len(source.fetched) <= 16 + 2
    large = Counted(400, n_bytes=2**24)
    with outcomes(large, 0, n_ahead=16, n_processes=2) as found:
        next(found)
        assert len(large.fetched) <= 3


def test_a_row_of_any_form_is_made_as_pillow_makes_it_of_an_array():
    random = np.random.default_rng(1)
    for shape in [(9, 7), (9, 7, 1), (9, 7, 3), (9, 7, 4)]:
        row = random.integers(0, 256, shape).astype(np.uint8)
        made = image_of(DecodeTask("row", shape, row.tobytes()), decoder())
        image = Image.fromarray(row[..., 0] if shape[2:] == (1,) else row)
        expected = Image.new("RGB", image.size, "white")
        expected.paste(image, mask=image if image.mode == "RGBA" else None)
        expected = expected.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(np.asarray(made), np.asarray(expected))


@pytest.mark.slow
@pytest.mark.process
def test_a_process_that_is_refused_memory_says_so():
    stream = io.BytesIO()
    Image.new("RGB", (4000, 4000)).save(stream, "PNG")
    with decoding_processes(1, decoder(), SLOTS) as (helper,):
        helper.give([DecodeTask("file", (), png(1))])
        assert len(helper.take()) == 1
        limit = (2**25, 2**25)
        resource.prlimit(helper._process.pid, resource.RLIMIT_DATA, limit)
        helper.give([DecodeTask("file", (), stream.getvalue())])
        with pytest.raises(MemoryError):
            helper.take()


@pytest.mark.slow
@pytest.mark.process
def test_whoever_packs_ends_as_a_process_that_decodes_for_it_ended(monkeypatch):
    ended = []
    with decoding_processes(1, decoder(), SLOTS) as (helper,):
        helper._process.signal(signal.SIGSEGV)
        monkeypatch.setattr(os, "kill", lambda *words: ended.append(words))
        with pytest.raises(RuntimeError):
            helper.take()
    assert ended == [(os.getpid(), signal.SIGSEGV)]


@pytest.mark.slow
@pytest.mark.process
def test_a_process_that_decodes_goes_with_the_one_that_started_it():
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as starter:
        pid = int(starter.stdout.readline())
        opened = os.pidfd_open(pid)
        starter.kill()
        # Readable once it has ended.

        assert select.select([opened], [], [], 20)[0]
        os.close(opened)


@pytest.mark.process
def test_of_large_images_one_is_decoded_at_a_time_by_all_processes():
    turns = Turns()
    try_it = (
        "import fcntl, sys\n"
        "fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    )
    line = [sys.executable, "-c", try_it, str(turns.fileno())]
    with turns:
        held = subprocess.run(
            line, pass_fds=[turns.fileno()], stderr=subprocess.PIPE, check=False
        )
    free = subprocess.run(line, pass_fds=[turns.fileno()], check=False)
    assert b"BlockingIOError" in held.stderr
    assert free.returncode == 0

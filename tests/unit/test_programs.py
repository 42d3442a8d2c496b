"""Which programs hold most memory, of real ones that hold it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from lowmem.cli.doctor import text_from_examination
from lowmem.memory.programs import Program, read_programs
from lowmem.places.examination import examine
from tests.unit.test_another_user import NOBODY, as_another_user
from tests.unit.test_process_memory import child_of

pytestmark = [pytest.mark.process, pytest.mark.slow]

MIB = 2**20
HELD = "held = bytearray(b'x') * (200 * 2**20)"
# What an interpreter has beside.
OWN = 30 * MIB
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another")


def programs():
    """Return all that hold something, by id: how many there are differs by machine."""
    return {p.pid: p for p in read_programs(most=10**6, least_bytes=1).largest}


def named(name):
    """Return what has a process call itself so."""
    return f"import ctypes; ctypes.CDLL(None).prctl(15, {name!r})"


def test_a_program_is_found_by_its_id_with_what_it_holds():
    with child_of(HELD) as child:
        found = programs()[child.pid]
        told = psutil.Process(child.pid)
        assert 200 * MIB <= found.ram_bytes <= told.memory_info().rss
        assert found.ram_bytes < 200 * MIB + OWN
        assert told.name().startswith(found.name)
        assert found.user == told.username()
        assert found.is_yours
        assert not found.is_at_most
    assert child.pid not in programs()


def test_doctor_names_it_unless_others_hold_more(tmp_path):
    with child_of(HELD) as child:
        found = examine(tmp_path)
        text = text_from_examination(found)
    larger = [p for p in found.largest_programs if p.ram_bytes > 200 * MIB]
    by_id = {p.pid: p for p in larger}
    assert child.pid in by_id or len(larger) == 5
    assert all(f"(id {pid}, " in text for pid in by_id)
    sizes = [p.ram_bytes for p in found.largest_programs]
    assert sizes == sorted(sizes, reverse=True)
    assert f"the largest {len(sizes)} of {found.n_programs}: " in text


def test_only_so_many_are_told_and_these_are_the_largest():
    with child_of(HELD), child_of(HELD.replace("200", "100")):
        every = read_programs(most=10**6, least_bytes=1)
        first = read_programs(most=1, least_bytes=1)
        large = read_programs(most=10**6, least_bytes=90 * MIB)
    assert len(every.largest) >= 3
    (largest,) = first.largest
    assert largest.ram_bytes >= 200 * MIB
    assert len(large.largest) >= 2
    assert all(p.ram_bytes >= 90 * MIB for p in large.largest)
    # This program, which asks, is in none.
    assert os.getpid() not in {p.pid for p in every.largest}


def test_what_forked_workers_share_is_divided_among_them():
    forked = f"""{HELD}
for _ in range(3):
    if os.fork() == 0:
        sys.stdin.read(); os._exit(0)"""
    with child_of(forked) as child:
        family = [child.pid, *(p.pid for p in psutil.Process(child.pid).children())]
        found = programs()
        resident = sum(psutil.Process(pid).memory_info().rss for pid in family)
    assert len(family) == 4
    assert resident > 800 * MIB
    assert (
        200 * MIB <= sum(found[pid].ram_bytes for pid in family) < 200 * MIB + 4 * OWN
    )


def test_a_file_that_is_mapped_is_not_held(tmp_path):
    path = tmp_path / "weights"
    path.write_bytes(b"x" * (100 * MIB))
    mapped = f"""file = open({str(path)!r}, "rb")
seen = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
seen.find(b"no such byte")"""
    with child_of(mapped) as child:
        assert psutil.Process(child.pid).memory_info().rss > 100 * MIB
        assert programs()[child.pid].ram_bytes < OWN


@as_root
def test_of_anothers_program_the_most_is_told_that_it_can_be():
    gone_over = f"{HELD}\nos.setuid({NOBODY})"
    with child_of(gone_over) as theirs, child_of(HELD) as ours:
        found = programs()[theirs.pid]
        assert not found.is_yours
        assert found.user == psutil.Process(theirs.pid).username()
        assert found.ram_bytes >= 200 * MIB
        # Who may not look into it is told the most.
        seen = as_another_user(programs)[ours.pid]
    assert seen.is_at_most
    assert 200 * MIB <= seen.ram_bytes < 200 * MIB + OWN


def test_what_would_take_seconds_is_told_undivided(monkeypatch):
    monkeypatch.setattr("lowmem.memory.programs._MOST_DIVIDED_BYTES", 0)
    with child_of(HELD) as child:
        found = programs()[child.pid]
    assert found.is_at_most
    assert found.ram_bytes >= 200 * MIB


# --- names ------------------------------------------------------------------------


def test_no_name_steers_the_terminal(tmp_path):
    with child_of(named(b"a\x1b]0;b\x07\nc\xff")) as child:
        found = programs()[child.pid]
        examined = replace(examine(tmp_path), largest_programs=(found,), n_programs=7)
    text = text_from_examination(examined)
    assert "the largest 1 of 7: a\\x1b]0;b\\x07 c\\xff (id " in text
    assert text.replace("\n", "").isprintable()


def test_no_part_of_a_command_line_is_told():
    name = "a-long-program1"
    words = [f"{name} --password=secret", "-c"]
    code = f"{named(name.encode())}; import sys; print(1, flush=True); sys.stdin.read()"
    child = subprocess.Popen(
        [*words, code],
        executable=sys.executable,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout.readline() == b"1\n"
    found = programs()[child.pid]
    # psutil completes a name that may be longer than the kernel keeps it.
    told = psutil.Process(child.pid).name()
    child.communicate()
    assert told == words[0]
    assert found.name == name


def test_a_machine_without_a_large_program_is_told_so(tmp_path):
    examined = replace(examine(tmp_path), largest_programs=(), n_programs=7)
    assert "programs       none of 7 holds 100.0 MiB of RAM\n" in text_from_examination(
        examined
    )


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ({"is_yours": True, "is_at_most": False}, "x (id 5, yours) 2.00 GiB"),
        ({"is_yours": False, "is_at_most": True}, "x (id 5, of me) up to 2.00 GiB"),
    ],
)
def test_whose_it_is_and_how_certain_its_size(tmp_path, told, line):
    program = Program(pid=5, name="x", user="me", ram_bytes=2 * 1024 * MIB, **told)
    examined = replace(examine(tmp_path), largest_programs=(program,), n_programs=7)
    assert f"the largest 1 of 7: {line}\n" in text_from_examination(examined)


# --- what ends, or may not be looked at, meanwhile --------------------------------


class Told(psutil.Process):
    """A process that another look finds changed; what is asked first fails."""

    error: psutil.Error

    def name(self):
        raise self.error


@pytest.mark.parametrize(
    "kind", [psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied]
)
def test_one_that_ends_or_is_denied_meanwhile_is_left_out(monkeypatch, kind):
    with child_of(HELD) as child, child_of(HELD) as other:
        changed = Told(child.pid)
        changed.error = kind(child.pid)
        listed = [changed, psutil.Process(other.pid)]
        monkeypatch.setattr(psutil, "process_iter", lambda: iter(listed))
        found = read_programs(most=2, least_bytes=1)
    assert found.n_seen == 2
    assert [p.pid for p in found.largest] == [other.pid]


def test_one_whose_id_is_anothers_by_now_is_left_out(monkeypatch):
    class Reused(psutil.Process):
        def is_running(self):
            return False

    with child_of(HELD) as child:
        listed = [Reused(child.pid)]
        monkeypatch.setattr(psutil, "process_iter", lambda: iter(listed))
        assert read_programs(most=2, least_bytes=1).largest == ()


def test_one_that_has_ended_is_not_counted(monkeypatch):
    with child_of("") as child:
        listed = [psutil.Process(child.pid)]
        monkeypatch.setattr(psutil, "process_iter", lambda: iter(listed))
        assert read_programs(most=2, least_bytes=1).n_seen == 1
        child.kill()
        patience_s = time.monotonic() + 60
        while listed[0].status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < patience_s
        # A zombie; and later, not even that.
        assert read_programs(most=2, least_bytes=1).n_seen == 0
    assert read_programs(most=2, least_bytes=1).n_seen == 0

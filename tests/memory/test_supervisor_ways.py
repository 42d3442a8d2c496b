"""Ways past a budget that hide from who reads one number of one process: none is left."""

from __future__ import annotations

import mmap
import os
import zipfile
from pathlib import Path

import pytest

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from tests.memory.test_supervisor_budget import BUDGET_MIB, hog_file
from tests.processes.lowmem_runs import attempts, incidents, is_running, job_file, run

pytestmark = [
    pytest.mark.process,
    pytest.mark.memory,
    pytest.mark.slow,
    pytest.mark.alone,
]

# Two children each hold half: none of them has more than a limit of its own would give.
CHILDREN = """
        import ctypes, threading
        libc = ctypes.CDLL(None)
        def hold():
            time.sleep(0.2)
            held = [fill(1) for _ in range(mib // 2)]
            if mib > 100: rest()
            os._exit(0)
        def begin(): {begin}
        pids = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                begin()
                os._exit(0)
            pids.append(pid)
        (ctx.workspace.root / f"pids-{{mib}}").write_text(" ".join(map(str, pids)))
        for pid in pids: os.waitpid(pid, 0)
"""
WAYS = {
    "children in 800 groups": CHILDREN.format(
        begin="(os.setgroups(range(10**9, 10**9 + 800)), hold())"
    ),
    "children without their main threads": CHILDREN.format(
        begin="(threading.Thread(target=hold).start(), libc.syscall({'x86_64': 60, "
        "'aarch64': 93}[os.uname().machine], 0))"
    ),
    "memory with a descriptor that nobody maps": """
        descriptor = os.memfd_create("hog")
        for _ in range(mib): os.write(descriptor, b"x" * MIB)
        if mib > 100: rest()
""",
    "a file system in memory that nobody else sees": """
        import ctypes
        libc = ctypes.CDLL(None)
        place = ctx.staging / "hidden"
        place.mkdir(exist_ok=True)
        assert libc.unshare(0x20000) == 0
        libc.mount(None, b"/", None, 0x44000, None)
        assert libc.mount(b"none", bytes(place), b"tmpfs", 0, b"size=100%") == 0
        with open(place / "file", "wb") as stream:
            for _ in range(mib): stream.write(b"x" * MIB)
            if mib > 100: rest()
        libc.umount2(bytes(place), 2)
""",
    "shared memory behind a line of 60 MB": """
        pid = os.fork()
        if pid == 0:
            held = mmap.mmap(-1, mib * MIB)
            for place in range(0, len(held), 4096): held[place] = 1
            if mib > 100: rest()
            os._exit(0)
        print("x" * 60_000_000)
        os.waitpid(pid, 0)
""",
    "page tables": """
        span = mib * 256 * 2**21
        held = mmap.mmap(-1, span, flags=mmap.MAP_PRIVATE | 0x4000, prot=mmap.PROT_READ)
        for place in range(0, span, 2**21): held[place]
        if mib > 100: rest()
""",
}
# MAP_ANONYMOUS and MAP_HUGETLB
HUGE_PAGES = 0x20 | 0x40000
NEED_ROOT = {"children in 800 groups", "a file system in memory that nobody else sees"}


@pytest.fixture
def overcommitted():
    """Let programs take huge pages beyond the pool, of 2 MiB each."""
    setting = Path("/proc/sys/vm/nr_overcommit_hugepages")
    if not os.access(setting, os.W_OK):
        pytest.skip("the number of huge pages cannot be set")
    former = setting.read_text()
    setting.write_text("220")
    try:
        # A machine whose memory lies in small pieces has none to give.
        Path("/proc/sys/vm/compact_memory").write_text("1")
        mmap.mmap(-1, 400 * 2**20, flags=mmap.MAP_SHARED | HUGE_PAGES).close()
        yield
    except OSError as error:
        pytest.skip(f"huge pages cannot be had: {error}")
    finally:
        setting.write_text(former)


@pytest.fixture
def space(tmp_path):
    return tmp_path / "w"


@pytest.mark.parametrize("way", WAYS)
def test_what_hides_memory_from_one_number_is_counted_and_stopped(tmp_path, space, way):
    if way in NEED_ROOT and os.geteuid():
        pytest.skip("needs the rights of root")
    ended = run(
        hog_file(tmp_path, WAYS[way]), space, "--ram-budget", f"{BUDGET_MIB}MiB"
    )
    assert ended.status == 0, ended
    (incident,) = incidents(space)
    assert incident.verdict == "ram_limit"
    assert incident.ram_bytes > 0.9 * BUDGET_MIB * 2**20
    assert [a.settings for a in attempts(space)] == [{"mib": 400}, {"mib": 10}]
    found = read_report(Workspace.at(space), is_live=False).jobs["hog"]
    assert found.ram_peak_bytes <= BUDGET_MIB * 2**20
    for path in space.glob("pids-*"):
        assert not any(is_running(int(pid)) for pid in path.read_text().split())


# Private ones are refused at their line, as all private memory beyond the limit is.
HUGE = """
        flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x40000  # MAP_HUGETLB
        held = mmap.mmap(-1, mib * MIB, flags=flags)
        if mib > 100: rest()
        held.close()
"""


def test_huge_pages_beyond_the_pool_are_counted_and_stopped(
    tmp_path, space, overcommitted
):
    del overcommitted
    ended = run(hog_file(tmp_path, HUGE), space, "--ram-budget", f"{BUDGET_MIB}MiB")
    assert ended.status == 0, ended
    (incident,) = incidents(space)
    assert incident.verdict == "ram_limit"
    assert incident.ram_bytes > 400 * 2**20


AT_IMPORT = """
import mmap, os, time
{setup}
import lowmem
@lowmem.job(name="hog")
def hog(ctx):
    yield lowmem.CommitPoint(items=1)
"""
IMPORTS = {
    "an array": "held = b'x' * (400 * 2**20)  # the line",
    "shared memory": """
held = mmap.mmap(-1, 400 * 2**20)
for place in range(0, len(held), 4096): held[place] = 1  # the line
""",
    "children": """
for _ in range(2):
    if os.fork() == 0:
        held = [b"x" * 2**20 for _ in range(200)]
        time.sleep(600)
time.sleep(600)  # the line
""",
}


@pytest.mark.parametrize("what", IMPORTS)
def test_a_file_that_takes_too_much_when_it_is_imported_is_refused_at_its_line(
    tmp_path, space, what
):
    job = job_file(tmp_path, AT_IMPORT.format(setup=IMPORTS[what]))
    ended = run(job, space, "--ram-budget", f"{BUDGET_MIB}MiB")
    assert ended.status == 73, ended
    lines = job.read_text().splitlines()
    line = 1 + next(n for n, text in enumerate(lines) if "# the line" in text)
    assert f"job.py:{line} in <module>" in ended.paragraph
    assert f"RAM budget of {BUDGET_MIB}.0 MiB" in ended.paragraph
    assert "Traceback" not in ended.err


def test_a_file_that_takes_less_when_it_is_imported_is_run(tmp_path, space):
    setup = f"held = b'x' * ({BUDGET_MIB - 150} * 2**20)"
    job = job_file(tmp_path, AT_IMPORT.format(setup=setup))
    ended = run(job, space, "--ram-budget", f"{BUDGET_MIB}MiB")
    assert ended.status == 0, ended
    assert incidents(space) == []


def test_an_archive_whose_list_of_names_takes_too_much_is_refused(tmp_path, space):
    # One character beyond 16 bits makes each of the others take four bytes.
    name = "x" * 16_000 + "\N{GRINNING FACE}"
    n_names = 400 * 2**20 // (4 * len(name))
    source = tmp_path / "names.npz"
    with zipfile.ZipFile(source, "w") as archive:
        for number in range(n_names):
            archive.writestr(f"{number:06}{name}", b"")
    budget = ("--ram-budget", f"{BUDGET_MIB}MiB")
    ended = run("ingest", space, "--source", str(source), *budget)
    assert ended.status == 73, ended
    assert f"RAM budget of {BUDGET_MIB}.0 MiB" in ended.paragraph
    assert "Traceback" not in ended.err

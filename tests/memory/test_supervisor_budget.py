"""Real processes against a real budget: what must be killed is, what need not is not."""

from __future__ import annotations

import pytest

from lowmem.base.workspace import Workspace
from lowmem.report.read import read_report
from tests.processes.lowmem_runs import attempts, incidents, is_running, job_file, run

pytestmark = [
    pytest.mark.process,
    pytest.mark.memory,
    pytest.mark.slow,
    pytest.mark.alone,
]

BUDGET_MIB = 320
# Over the budget on the first rung of the ladder, and well below it on the second.
HEAD = """
import mmap, os, time, lowmem
from concurrent.futures import ThreadPoolExecutor

MIB = 2**20
def fill(mib):
    return b"x" * (mib * MIB)

def rest():
    for _ in range(600):
        time.sleep(0.1)

def detach(work):
    if os.fork():
        return
    work()
    os._exit(0)

def file_backed_kib(pid):
    lines = open(f"/proc/{pid}/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssFile"))

def job_of(work):
    return lowmem.job(name="hog", settings=({"mib": 400}, {"mib": 10}))(work)
"""
FILL = '    return b"x" * (mib * MIB)'
# A loop stands on one line: the kill may come while the interpreter is at its head.
HOGS = {
    "one shot": """
        held = b"x" * (mib * MIB)  # the line
        if mib > 100: rest()
        """,
    "ramp": """
        held = []
        for _ in range(mib): held.append(b"x" * MIB)  # the line
        if mib > 100: rest()
        """,
    "eight threads": """
        with ThreadPoolExecutor(8) as pool:
            held = [pool.submit(fill, mib // 8) for _ in range(8)]
        sizes = [len(future.result()) for future in held]
        if mib > 100: rest()
        """,
    "forked child": """
        if os.fork() == 0:
            held = fill(mib)
            if mib > 100: rest()
            os._exit(0)
        os.wait()  # the line
        if mib > 100: rest()
        """,
    "detached grandchild": """
        def leave_home():
            os.setsid()
            detach(lambda: (pids.write_text(str(os.getpid())), fill(mib), mib > 100 and rest()))
        pids = ctx.workspace.root / "pid"
        detach(leave_home)
        if mib > 100: rest()
        """,
    "file in memory": """
        path = f"/dev/shm/lowmem-test-{os.getpid()}"
        with open(path, "wb") as stream:
            os.unlink(path)
            for _ in range(mib): stream.write(b"x" * MIB)  # the line
        if mib > 100: rest()
        """,
    "children that stop sharing": """
        held = bytearray(mib // 2 * MIB)
        for place in range(0, len(held), 4096): held[place] = 1
        if os.fork() == 0:
            time.sleep(0.3)
            for place in range(0, len(held), 4096): held[place] = 2
            if mib > 100: rest()
            os._exit(0)
        os.wait()  # the line
        if mib > 100: rest()
        """,
    "shared mappings": """
        for _ in range(2):
            if os.fork() == 0:
                held = mmap.mmap(-1, mib // 2 * MIB)
                for place in range(0, len(held), 4096): held[place] = 1
                if mib > 100: rest()
                os._exit(0)
        os.wait()  # the line
        if mib > 100: rest()
        """,
}
# What a limit of private memory stops before it begins; what only the watch can stop;
# and what one process does, so that the kernel's mark of its peak can be compared.
REFUSED = {"one shot"}
WATCHED = {
    "ramp",
    "file in memory",
    "children that stop sharing",
    "shared mappings",
}
ALONE = {"one shot", "ramp", "eight threads"}
HARMLESS = {
    "a mapped file larger than the budget": """
        path = ctx.staging / "large"
        with open(path, "wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, 500 * MIB)
        with open(path, "rb") as stream:
            mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            total = sum(mapped[place] for place in range(0, len(mapped), 4096))
        """,
    "a file larger than the budget that is written and read": """
        path = ctx.staging / "large"
        with open(path, "wb") as stream:
            for _ in range(500):
                stream.write(fill(1))
        with open(path, "rb") as stream:
            while stream.read(MIB): pass
        """,
    "forks that share most of the budget": """
        held = fill(200)
        children = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                total = sum(held[::4096])
                time.sleep(1.2)
                os._exit(0)
            children.append(pid)
        for pid in children: os.waitpid(pid, 0)
        """,
    "a mapped file in memory that is most of the budget": """
        path = f"/dev/shm/lowmem-test-{os.getpid()}"
        with open(path, "w+b") as stream:
            os.unlink(path)
            os.truncate(stream.fileno(), 180 * MIB)
            mapped = mmap.mmap(stream.fileno(), 0)
            for place in range(0, len(mapped), 4096): mapped[place] = 1
            time.sleep(0.3)
            mapped.close()
        """,
}


def hog_file(folder, body):
    lines = [line.strip("\n") for line in body.splitlines() if line.strip()]
    indented = "\n".join("    " + line.removeprefix(" " * 8) for line in lines)
    source = (
        f"{HEAD}\ndef hog(ctx):\n    mib = ctx.settings['mib']\n"
        "    files = sum(map(file_backed_kib, (os.getpid(), os.getppid())))\n"
        "    (ctx.workspace.root / 'files').write_text(str(files))\n"
        f"{indented}\n"
        "    yield lowmem.CommitPoint(items=1)\n    return lowmem.Result()\n\n"
        "hog = job_of(hog)\n"
    )
    return job_file(folder, source)


def line_of(job):
    lines = job.read_text().splitlines()
    marked = [n for n, line in enumerate(lines, start=1) if "# the line" in line]
    return marked[0] if marked else None


@pytest.fixture
def space(tmp_path):
    return tmp_path / "w"


@pytest.mark.parametrize("kind", HOGS)
def test_a_hog_is_killed_named_by_its_line_and_retried_with_less(tmp_path, space, kind):
    job = hog_file(tmp_path, HOGS[kind])
    ended = run(job, space, "--ram-budget", f"{BUDGET_MIB}MiB")
    assert ended.status == 0, ended
    (incident,) = incidents(space)
    assert incident.verdict == "ram_limit"
    assert incident.action == "restarted with mib 10"
    if kind in REFUSED:
        # Asked for, refused by the kernel, and never touched.
        assert incident.ram_bytes < 0.5 * BUDGET_MIB * 2**20
    elif kind in WATCHED:
        assert incident.ram_bytes > 0.9 * BUDGET_MIB * 2**20
    if line_of(job) is not None:
        places = {f"job.py:{line_of(job)} in hog"}
        if "child" in kind:
            # A worker that sleeps on a busy machine may not write in time.
            places.add(None)
            # Its own allocation may be refused before the watch sees it.
            fill = job.read_text().splitlines().index(FILL) + 1
            places.add(f"job.py:{fill} in fill")
        assert incident.where in places
    assert [a.settings for a in attempts(space)] == [{"mib": 400}, {"mib": 10}]
    found = read_report(Workspace.at(space), is_live=False).jobs["hog"]
    assert incident.ram_bytes <= found.ram_peak_bytes <= BUDGET_MIB * 2**20
    if kind in ALONE:
        files = int((space / "files").read_text()) * 1024
        marks = [cycle.ram_hwm_bytes for cycle in found.cycles]
        assert max(marks) - files <= BUDGET_MIB * 2**20
    if (space / "pid").exists():
        assert not is_running(int((space / "pid").read_text()))


@pytest.mark.parametrize("kind", HARMLESS)
def test_memory_that_can_be_reclaimed_or_is_shared_kills_nobody(tmp_path, space, kind):
    job = hog_file(tmp_path, HARMLESS[kind])
    ended = run(job, space, "--ram-budget", f"{BUDGET_MIB}MiB")
    assert ended.status == 0, ended
    assert incidents(space) == []
    assert len(attempts(space)) == 1

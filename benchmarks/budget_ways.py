"""Ways past a budget that leave no trace where a watch would look first.

Each takes memory where the state of a process, its groups, its mount namespace or the
kernel hides it from who reads one number of one process. `budget_hogs.py` runs them as
it runs its own; some need the rights of root, and are left out without them.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import platform
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20
LIBC = ctypes.CDLL(None, use_errno=True)
# exit(2) ends one thread; the C library's ends the process.
_EXIT_THREAD = {"x86_64": 60, "aarch64": 93}.get(platform.machine(), 60)
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_SO_SNDBUFFORCE = 32
# The most that a pipe takes without further rights.
_PIPE_BYTES = MIB
_SEND_BYTES = 16 * MIB
# By it the benchmark finds, and removes, what a killed hog has left.
SEGMENT_KEY = 0x6C6D0000
_SEGMENT_BYTES = 64 * MIB
# What one page table takes, and what it spans.
_TABLE_BYTES, _TABLE_SPAN_BYTES = 4096, 2 * MIB
_N_LINKS, _N_CHILDREN = 20, 150
_MCL_CURRENT = 1
_MAP_NORESERVE = 0x4000  # Python 3.13 names it.


def _rest() -> None:
    for _ in range(round(10 * float(os.environ.get("HOG_REST", "60")))):
        time.sleep(0.1)


def _in_children(n_children: int, work: Callable[[], object]) -> None:
    """Do something in forked children, and rest whatever becomes of them."""
    for _ in range(n_children):
        if os.fork() == 0:
            work()
            os._exit(0)
    _rest()


def _hold(mib: int) -> None:
    """Take private memory in pieces, and rest."""
    held = [b"x" * MIB for _ in range(mib)]
    _rest()
    del held


def _shared(mib: int) -> None:
    """Take shared memory, which no limit of the kernel's refuses, and rest."""
    with mmap.mmap(-1, mib * MIB) as held:
        for place in range(0, len(held), 4096):
            held[place] = 1
        _rest()


def suspended(mib: int, _: Path) -> None:
    """Take it while the supervisor is stopped, as by Ctrl-Z."""
    os.kill(os.getppid(), signal.SIGTSTP)
    time.sleep(0.3)
    _shared(mib)


def behind_a_stopped_watch(mib: int, _: Path) -> None:
    """Take it while the supervisor is stopped by a signal that none can catch."""
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(0.3)
    _shared(mib)


def in_many_groups(mib: int, _: Path) -> None:
    """Take it in two children of a lowmem that was started in 400 groups."""
    _in_children(2, lambda: _hold(mib // 2))


def child_in_many_groups(mib: int, _: Path) -> None:
    """Take it in two children that join 800 groups."""

    def join() -> None:
        os.setgroups(range(1_000_000_000, 1_000_000_800))
        _hold(mib // 2)

    _in_children(2, join)


def without_main_thread(mib: int, _: Path) -> None:
    """Take it in two children whose main threads have ended while another lives."""

    def leave() -> None:
        threading.Thread(target=lambda: (time.sleep(0.3), _hold(mib // 2))).start()
        LIBC.syscall(_EXIT_THREAD, 0)

    _in_children(2, leave)


def unmapped_memfd(mib: int, _: Path) -> None:
    """Write memory that has a descriptor and no name, and that nobody maps."""
    descriptor = os.memfd_create("hog")
    block = b"x" * MIB
    for _ in range(mib):
        os.write(descriptor, block)
    _rest()


def detached_segments(mib: int, _: Path) -> None:
    """Fill System V segments, and detach each."""
    LIBC.shmat.restype = ctypes.c_void_p
    for number in range(mib * MIB // _SEGMENT_BYTES + 1):
        segment = LIBC.shmget(
            SEGMENT_KEY + number, ctypes.c_size_t(_SEGMENT_BYTES), 0o1600
        )
        place = LIBC.shmat(segment, None, 0)
        ctypes.memset(place, 1, _SEGMENT_BYTES)
        LIBC.shmdt(ctypes.c_void_p(place))
    _rest()


def remove_segments() -> None:
    """Remove the System V segments of a hog that was killed."""
    for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]:
        key, number = map(int, line.split()[:2])
        if SEGMENT_KEY <= key < SEGMENT_KEY + 2**16:
            LIBC.shmctl(number, 0, None)


def hidden_tmpfs(mib: int, folder: Path) -> None:
    """Write a file system in memory that is mounted where nobody else sees it."""
    place = folder / "hidden"
    place.mkdir(exist_ok=True)
    LIBC.unshare(_CLONE_NEWNS)
    LIBC.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None)
    LIBC.mount(b"none", bytes(place), b"tmpfs", 0, b"size=100%")
    with (place / "file").open("wb") as stream:
        for _ in range(mib):
            stream.write(b"x" * MIB)
    _rest()


def full_pipes(mib: int, _: Path) -> None:
    """Fill pipes, more than another user than root may."""
    _allow_descriptors()
    for _ in range(mib * MIB // _PIPE_BYTES):
        _, end = os.pipe()
        fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        for _ in range(_PIPE_BYTES // 2**16):
            os.write(end, b"x" * 2**16)
    _rest()


def _allow_descriptors() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def full_sockets(mib: int, _: Path) -> None:
    """Fill the buffers of sockets, of a size that only root may give them."""
    _allow_descriptors()
    held, left = [], mib * MIB
    while left > 0:
        end, other = socket.socketpair()
        os.set_blocking(end.fileno(), False)
        end.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _SEND_BYTES)
        held += [end, other]
        try:
            while left > 0:
                left -= end.send(b"x" * 2**16)
        except BlockingIOError:
            continue
    _rest()


def behind_a_long_line(mib: int, _: Path) -> None:
    """Take shared memory in a child while the supervisor is given one line of 60 MB."""
    if os.fork() == 0:
        time.sleep(0.05)
        _shared(mib)
        os._exit(0)
    print("x" * 60_000_000)
    _rest()


def page_tables(mib: int, _: Path) -> None:
    """Read one byte in each 2 MiB of a huge mapping: page tables, and hardly a page."""
    span = mib * MIB // _TABLE_BYTES * _TABLE_SPAN_BYTES
    flags = mmap.MAP_PRIVATE | _MAP_NORESERVE
    with mmap.mmap(-1, span, flags=flags, prot=mmap.PROT_READ) as held:
        for place in range(0, span, _TABLE_SPAN_BYTES):
            held[place]
        _rest()


def fork_chain(mib: int, _: Path) -> None:
    """Take a little in each link of a chain of forks whose parents end at once."""
    for _ in range(_N_LINKS):
        if os.fork():
            _end_unless_first()
        held = b"x" * (mib * MIB // _N_LINKS)
        if os.fork() == 0:
            _rest()
            os._exit(len(held) > 0)
    _rest()


def _end_unless_first() -> None:
    if os.getpid() != os.getpgid(0):
        os._exit(0)
    _rest()


def many_processes(mib: int, _: Path) -> None:
    """Take a little in each of 150 children."""
    _in_children(_N_CHILDREN, lambda: _hold_bytes(mib * MIB // _N_CHILDREN))


def _hold_bytes(n_bytes: int) -> None:
    held = b"x" * n_bytes
    _rest()
    del held


def huge_pages(mib: int, _: Path) -> None:
    """Take it in transparent huge pages."""
    with mmap.mmap(-1, mib * MIB, flags=mmap.MAP_PRIVATE) as held:
        held.madvise(mmap.MADV_HUGEPAGE)
        for place in range(0, len(held), _TABLE_SPAN_BYTES):
            held[place] = 1
        _rest()


def locked_file(mib: int, folder: Path) -> None:
    """Lock the pages of a mapped file: the kernel cannot take them back."""
    with (folder / "locked").open("w+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, mib * MIB)
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as held:
            LIBC.mlockall(_MCL_CURRENT)
            sum(held[place] for place in range(0, len(held), 4096))
            _rest()


WAYS = (
    suspended,
    in_many_groups,
    child_in_many_groups,
    without_main_thread,
    unmapped_memfd,
    detached_segments,
    hidden_tmpfs,
    behind_a_long_line,
    page_tables,
    fork_chain,
    many_processes,
    huge_pages,
)
# What the budget does not count, see docs/promises.md: their size is printed.
UNCOUNTED = (full_pipes, full_sockets, behind_a_stopped_watch, locked_file)
N_GROUPS = {"in_many_groups": 400}
NEED_ROOT = {"in_many_groups", "child_in_many_groups", "hidden_tmpfs"}


# --- what is taken before a job begins --------------------------------------------

IMPORTS = {
    "array at import": """
import numpy
X = numpy.ones({mib} * 2**17)  # the line
""",
    "shared at import": """
import mmap
X = mmap.mmap(-1, {mib} * 2**20)
for place in range(0, len(X), 4096): X[place] = 1  # the line
""",
    "children at import": """
import os, time
for _ in range(2):
    if os.fork() == 0:
        X = [b"x" * 2**20 for _ in range({mib} // 2)]
        time.sleep(600)
time.sleep(600)  # the line
""",
}
IMPORTED = """
import lowmem
{setup}
@lowmem.job(name="hog")
def hog(ctx):
    yield lowmem.CommitPoint(items=1)
"""


def importing_job(folder: Path, name: str, mib: int) -> tuple[Path, int]:
    """Write a job whose file asks for too much; return it, and the line that does."""
    path = folder / "imports.py"
    path.write_text(IMPORTED.format(setup=IMPORTS[name].format(mib=mib)))
    lines = path.read_text().splitlines()
    return path, 1 + next(n for n, line in enumerate(lines) if "# the line" in line)


if __name__ == "__main__":
    # By hand, to see what a way leaves in the kernel's counts: python budget_ways.py NAME MIB
    with tempfile.TemporaryDirectory() as folder:
        {way.__name__: way for way in (*WAYS, *UNCOUNTED)}[sys.argv[1]](
            int(sys.argv[2]), Path(folder)
        )

"""Jobs that ask for more than their budget, and jobs that only seem to.

`budgets.py` runs this file as a job: one hog, one turn a rung of the ladder, so that
each kill is followed by the next. Before each turn the worker writes down, and resets,
the high-water mark of the control group around the run.
"""

from __future__ import annotations

import mmap
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from budget_groups import used_of
from budget_ways import UNCOUNTED, WAYS

import lowmem

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

MIB = 2**20
N_TURNS = int(os.environ.get("HOG_TURNS", "1"))
MARK = os.environ.get("HOG_MARK", "")
LOG = Path(os.environ.get("HOG_LOG", "/dev/null"))


def fill(mib: int) -> bytes:
    """Take memory as fast as the machine gives it."""
    return b"x" * (mib * MIB)


def touch(held: bytearray | mmap.mmap, value: int) -> None:
    """Write to every page."""
    for place in range(0, len(held), 4096):
        held[place] = value


def rest(seconds: float = 60) -> None:
    """Hold what is held."""
    for _ in range(round(seconds * 10)):
        time.sleep(0.1)


def in_child(work: Callable[[], object]) -> int:
    """Do something in a forked child."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid


def one_shot(mib: int, _: Path) -> None:
    """Take all at once."""
    held = b"x" * (mib * MIB)
    rest()
    del held


def ramp(mib: int, _: Path) -> None:
    """Take a MiB at a time."""
    held = [b"x" * MIB for _ in range(mib)]
    rest()
    del held


def eight_threads(mib: int, _: Path) -> None:
    """Take a share in each of eight threads."""
    with ThreadPoolExecutor(8) as pool:
        held = [pool.submit(fill, mib // 8) for _ in range(8)]
    sizes = [len(future.result()) for future in held]
    rest()
    del sizes


def forked_child(mib: int, _: Path) -> None:
    """Take it in a forked child, and go on whatever becomes of it."""
    in_child(lambda: (fill(mib), rest()))
    os.wait()
    rest()


def detached_grandchild(mib: int, _: Path) -> None:
    """Take it in a grandchild in a session of its own, whose parent has ended."""

    def leave() -> None:
        os.setsid()
        in_child(lambda: (fill(mib), rest()))

    in_child(leave)
    rest()


def shared_memory(mib: int, _: Path) -> None:
    """Write a file on /dev/shm that nobody maps."""
    descriptor = os.open("/dev/shm", os.O_TMPFILE | os.O_RDWR)  # noqa: S108
    block = b"x" * MIB
    for _ in range(mib):
        os.write(descriptor, block)
    rest()


def forks_that_stop_sharing(mib: int, _: Path) -> None:
    """Copy all pages shared by a fork at once."""
    held = bytearray(mib // 2 * MIB)
    touch(held, 1)
    in_child(lambda: (time.sleep(0.3), touch(held, 2), rest()))
    os.wait()
    rest()


def shared_mappings(mib: int, _: Path) -> None:
    """Take it in two children, as shared memory that has no name."""

    def share() -> None:
        with mmap.mmap(-1, mib // 2 * MIB) as held:
            touch(held, 1)
            rest()

    children = [in_child(share) for _ in range(2)]
    for pid in children:
        os.waitpid(pid, 0)
    rest()


def mapped_file(mib: int, folder: Path) -> None:
    """Read a mapped file of twice the budget through."""
    with (folder / "large").open("w+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, 2 * mib * MIB)
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            sum(mapped[place] for place in range(0, len(mapped), 4096))
    (folder / "large").unlink()


def page_cache(mib: int, folder: Path) -> None:
    """Write and read a file of twice the budget."""
    with (folder / "large").open("wb") as stream:
        for _ in range(2 * mib):
            stream.write(b"x" * MIB)
    with (folder / "large").open("rb") as stream:
        while stream.read(MIB):
            pass
    (folder / "large").unlink()


def sharing_forks(mib: int, _: Path) -> None:
    """Share 70 % of the budget among four forks."""
    held = bytearray(round(0.7 * mib) * MIB)
    touch(held, 1)
    children = [in_child(lambda: (sum(held[::4096]), time.sleep(5))) for _ in range(4)]
    for pid in children:
        os.waitpid(pid, 0)


def nearly_full(mib: int, _: Path) -> None:
    """Rest at 97 % of the budget for a minute, what else is in use included."""
    own = [os.getpid(), os.getppid()]
    used = sum(anonymous_kib(pid) for pid in own) / 1024
    held = fill(round(0.97 * mib - used))
    rest(float(os.environ.get("HOG_REST", "60")))
    del held


def anonymous_kib(pid: int) -> int:
    """Return the resident anonymous memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


HOGS = (
    one_shot,
    ramp,
    eight_threads,
    forked_child,
    detached_grandchild,
    shared_memory,
    forks_that_stop_sharing,
    shared_mappings,
    *WAYS,
)
HARMLESS = (mapped_file, page_cache, sharing_forks, nearly_full)


def note_mark() -> None:
    """Write down the high-water mark since the last call, and begin it anew.

    Beside it stands what is in use now.
    """
    if MARK:
        mark = Path(MARK).read_text().strip()
        used = used_of(Path(MARK).parent).read_text().strip()
        with LOG.open("a") as log:
            log.write(f"{mark} {used}\n")
        Path(MARK).write_text("0")


@lowmem.job(
    name="hog",
    options=[
        lowmem.Option(name="kind", kind="str", default="one_shot"),
        lowmem.Option(name="mib", kind="int", default=1024),
    ],
    settings=tuple({"turn": N_TURNS - turn} for turn in range(N_TURNS)),
)
def hog(
    ctx: lowmem.Context,
) -> Generator[lowmem.CommitPoint, None, lowmem.Result]:
    """Ask for too much, or seem to."""
    chosen = {work.__name__: work for work in (*HOGS, *UNCOUNTED, *HARMLESS)}[
        ctx.options["kind"]
    ]
    note_mark()
    chosen(ctx.options["mib"], ctx.staging)
    yield lowmem.CommitPoint(items=1)
    return lowmem.Result()

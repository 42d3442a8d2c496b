"""One call of a program for `exec.py`, by hand or under lowmem: what it gave, and what it took.

Memory is told by others than lowmem: `group_peak` is the largest of many readings of what a control group holds
in anonymous and shared pages, `group_mark` the kernel's own mark of that group, in which its page cache and
page tables are too. Where no group can be made, a sum over the processes takes the first's place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.budget_groups import control_group, held_bytes, mark_of, pids_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# seconds; between two readings of the sampler
PAUSE_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How one call ended.

    Attributes
    ----------
    output
        SHA-256 of its standard output and of the files that it made.
    errors
        Its standard error.
    took_s, cpu_s
        By the clock, and by the processors, all processes that were waited for.
    rss_bytes
        The kernel's high-water mark of its largest process, file-backed pages included.
        None where that is no larger than this process, which the child was until it began.
    disk_bytes
        What was read from the disk, and not from the page cache.
    group_peak, group_mark
        bytes; see above. None where they were not asked for, or cannot be had.
    """

    exit_code: int
    output: str
    errors: str
    took_s: float
    cpu_s: float
    rss_bytes: int | None
    disk_bytes: int
    group_peak: int | None = None
    group_mark: int | None = None

    @property
    def kernels_bytes(self) -> int | None:
        """What it took by the kernel's own marks, which miss nothing; None without any."""
        return max(self.group_mark or 0, self.rss_bytes or 0) or None


def exec_line(
    folder: Path, name: str, line: Sequence[str], *, ram: int
) -> tuple[str, ...]:
    """Return the line of a call under lowmem; its workspace is `folder`'s own."""
    own = [sys.executable, "-m", "lowmem", "exec", "--quiet", "--ram", str(ram)]
    return (*own, "--workspace", str(folder / "w"), "--name", name, "--", *line)


def timed(line: Sequence[str], folder: Path, made: Path | None = None) -> Ran:
    """Call a program, with nobody else looking at it."""
    return _called(line, folder, made, None)


def watched(line: Sequence[str], folder: Path, made: Path | None = None) -> Ran:
    """Call a program in a control group of its own, and take readings of that."""
    with control_group() as group:
        mark = mark_of(group) if group else None
        ran, peak = _sampled(line, folder, made, group)
        for pid in pids_of(group):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        return replace(
            ran, group_peak=peak, group_mark=int(mark.read_text()) if mark else None
        )


@dataclass(slots=True)
class _Sampler:
    """A thread that keeps the largest of its readings."""

    read: Callable[[], int]
    peak: int = 0
    _is_over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        while not self._is_over.wait(PAUSE_S):
            self.peak = max(self.peak, self.read())

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()


def _sampled(
    line: Sequence[str], folder: Path, made: Path | None, group: Path | None
) -> tuple[Ran, int]:
    if group is not None:
        sampler = _Sampler(lambda: held_bytes(group))
    else:
        sampler = _Sampler(lambda: _tree_bytes(os.getpid()))
    with sampler.running():
        ran = _called(line, folder, made, group)
    return ran, sampler.peak


def _called(
    line: Sequence[str], folder: Path, made: Path | None, group: Path | None
) -> Ran:
    if made is not None:
        shutil.rmtree(made, ignore_errors=True)
    temporary = folder / "tmp"
    temporary.mkdir(exist_ok=True)

    def enter() -> None:
        if group:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    told = {"LC_ALL": "C", "POLARS_MAX_THREADS": "2", "TMPDIR": str(temporary)}
    with tempfile.TemporaryFile() as errors:
        began = time.perf_counter()
        with subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **told},
            cwd=folder,
            preexec_fn=enter if group else None,  # noqa: PLW1509 - it forks and writes
        ) as process:
            digest = hashlib.sha256()
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            while block := os.read(process.stdout.fileno(), 2**20):
                digest.update(block)
            _, status, usage = os.wait4(process.pid, 0)
            took_s = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
            own_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            mark_kib = usage.ru_maxrss
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    for path in _files(made):
        digest.update(f"{path.relative_to(made)}\0".encode() + path.read_bytes())
    return Ran(
        exit_code=process.returncode,
        output=digest.hexdigest(),
        errors=said,
        took_s=took_s,
        cpu_s=usage.ru_utime + usage.ru_stime,
        rss_bytes=mark_kib * 1024 if mark_kib > own_kib else None,
        disk_bytes=usage.ru_inblock * 512,
    )


def _files(made: Path | None) -> list[Path]:
    if made is None or not made.exists():
        return []
    return sorted(path for path in made.rglob("*") if path.is_file())


def _tree_bytes(root: int) -> int:
    """Return the anonymous and shared bytes of what a process has started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                children.setdefault(int(parent), []).append(int(entry.name))
    total, left = 0, list(children.get(root, []))
    while left:
        pid = left.pop()
        left += children.get(pid, [])
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(("RssAnon", "RssShmem")):
                    total += int(line.split()[1]) * 1024
    return total

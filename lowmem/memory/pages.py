"""Pages of one process, as /proc gives them: quick counts, and shares counted once."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Self

PROC = Path("/proc")
_STATUS_BYTES = 4096
_KIB = 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# kcmp(2) has no function in the C library; by machine, its number, and what to compare.
_KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine())
_KCMP_VM = 1
# Position of the minor faults among the fields behind the command name.
_MINOR_FAULTS = 7
# Position of the path in the first line of a mapping; without one the line ends before.
_PATH = 5


def field_bytes(status: bytes, name: bytes) -> int:
    r"""Return one ``kB`` field of a /proc status text in bytes; 0 where it is absent.

    Examples
    --------
    >>> field_bytes(b"VmHWM:\t  12 kB\nRssAnon:\t   3 kB\n", b"RssAnon:")
    3072
    """
    start = status.find(name)
    if start < 0:
        return 0
    return int(status[start + len(name) : start + len(name) + 20].split()[0]) * _KIB


@dataclass(slots=True)
class Process:
    """One process of the tree; the descriptor stays true even if its id is reused.

    Attributes
    ----------
    lender
        The process that started it and may have lent it all its memory, as `vfork` does
        until the new program begins: such pages are counted there, and nowhere else.
    data_bytes
        Private writable memory that it has reserved, touched or not (VmData).
    """

    pid: int
    descriptor: int
    lender: int | None = None
    anon_bytes: int = 0
    shared_bytes: int = 0
    data_bytes: int = 0
    hwm_bytes: int = 0
    _is_held: bool = False

    @classmethod
    def find(cls, pid: int, lender: int | None = None) -> Self | None:
        """Return a live process, else None."""
        try:
            descriptor = os.open(PROC / str(pid) / "status", os.O_RDONLY)
        except OSError:
            return None
        return cls(pid=pid, descriptor=descriptor, lender=lender)

    def close(self) -> None:
        """Forget the process."""
        os.close(self.descriptor)

    def read(self) -> bool:
        """Take a reading; return False once the process has gone."""
        try:
            status = os.pread(self.descriptor, _STATUS_BYTES, 0)
        except ProcessLookupError:
            return False
        # A zombie has no memory lines.
        if b"RssAnon:" not in status:
            return False
        is_lent = self._is_lent()
        self.anon_bytes = 0 if is_lent else field_bytes(status, b"RssAnon:")
        self.shared_bytes = 0 if is_lent else field_bytes(status, b"RssShmem:")
        self.data_bytes = field_bytes(status, b"VmData:")
        if not is_lent:
            self.hwm_bytes = max(self.hwm_bytes, field_bytes(status, b"VmHWM:"))
        return True

    def _is_lent(self) -> bool:
        """Return whether its memory is another's; once it is its own, it stays so."""
        if self.lender is not None and not _is_same_memory(self.pid, self.lender):
            self.lender = None
        return self.lender is not None

    def faulted_bytes(self) -> int:
        """Return what all its minor faults can have brought in or copied, ever.

        A copy of a shared page changes no count of resident pages; this one it does.
        """
        fields = _stat_fields(self.pid)
        return int(fields[_MINOR_FAULTS]) * _PAGE_BYTES if fields else 0

    def proportional_bytes(self, mounts: list[str]) -> int:
        """Return anonymous and shared PSS, less mapped files of ``mounts``.

        Those files are counted as growth of their file system. Slow: 14 ms for 2 GB.
        """
        if self._is_lent():
            return 0
        try:
            rollup = (PROC / str(self.pid) / "smaps_rollup").read_bytes()
            shared = field_bytes(rollup, b"Pss_Shmem:")
            mapped = _mapped_bytes(self.pid, mounts) if shared else 0
        except OSError:
            return 0
        return field_bytes(rollup, b"Pss_Anon:") + max(0, shared - mapped)

    def hold(self) -> None:
        """Let it take no step more, until `release`."""
        fields = _stat_fields(self.pid)
        if fields and fields[0] != b"T":  # Not one that the job itself has stopped.
            self._is_held = _signal(self.pid, signal.SIGSTOP)

    def release(self) -> None:
        """Let it go on, if `hold` has stopped it."""
        if self._is_held:
            self._is_held = False
            _signal(self.pid, signal.SIGCONT)


def parent_of(pid: int) -> int:
    """Return the parent of a process; 0 once it has gone."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else 0


def _is_same_memory(pid: int, other: int) -> bool:
    """Return whether two processes are one address space; False where none can tell."""
    if _KCMP is None:
        return False
    same: int = ctypes.CDLL(None).syscall(_KCMP, pid, other, _KCMP_VM, 0, 0)
    return same == 0


def _stat_fields(pid: int) -> list[bytes]:
    """Return the fields of ``stat`` behind the command name; empty once it has gone."""
    # Each new process of the whole machine is asked: a plain read is a third of the cost.
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    except OSError:
        return []
    try:
        stat = os.read(descriptor, _STATUS_BYTES)
    except OSError:
        return []
    finally:
        os.close(descriptor)
    # The command name may hold spaces and brackets: count from the last bracket.
    return stat.rpartition(b")")[2].split()


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _mapped_bytes(pid: int, mounts: list[str]) -> int:
    total = 0
    is_tmpfs = False
    prefixes = tuple(mount.rstrip("/") + "/" for mount in mounts)
    with (PROC / str(pid) / "smaps").open() as stream:
        for line in stream:
            words = line.split()
            if not words[0].endswith(":"):
                # Shared memory without a name (``/dev/zero``, ``/memfd:``, ``/SYSV``) lies
                # on no mount: nothing but this process tells of it.
                is_tmpfs = len(words) > _PATH and words[_PATH].startswith(prefixes)
            elif is_tmpfs and words[0] == "Pss:":
                total += int(words[1]) * _KIB
    return total

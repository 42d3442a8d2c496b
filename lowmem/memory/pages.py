"""Pages of one process, as /proc gives them: quick counts, and shares counted once."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import signal
from dataclasses import dataclass
from typing import NamedTuple, Self

from lowmem.memory.proc import StatusFile, field_bytes, stat_fields

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# kcmp(2) has no function in the C library; by machine, its number, and what to compare.
_KCMP = {"x86_64": 312, "aarch64": 272}.get(platform.machine())
_KCMP_VM = 1
# Threads may end while they are looked through: so often, until one is met alive.
_ROUNDS = 8
# What the kernel takes for a process, and for each thread: a stack of 16 KiB and what
# stands beside it. Measured by a control group.
_KERNEL_PROCESS_BYTES = 16 * 2**10
_KERNEL_THREAD_BYTES = 24 * 2**10
# Mappings take 0.2 to 0.3 KiB each and are counted nowhere; libraries bring them and page
# tables alike, of both as much. Forks of Python: 40 KiB beside tables of 116 (142
# mappings), 390 beside 504 (1,354), 540 beside 916 (1,812, TensorFlow).
_MOST_MAPPING_BYTES = 2**20
_FIELDS = (b"VmHWM:", b"RssAnon:", b"RssShmem:", b"VmData:", b"VmPTE:", b"Threads:")
# The same in the order of the text, by one search: half of what a search for each takes.
# They begin lines, which no name of a process can.
_STATUS = re.compile(
    rb"\nVmHWM:\s+(\d+) kB\nVmRSS:[^\n]*"
    rb"\nRssAnon:\s+(\d+) kB\nRssFile:[^\n]*\nRssShmem:\s+(\d+) kB"
    rb"\nVmData:\s+(\d+) kB\n(?:[^\n]*\n){,4}?VmPTE:\s+(\d+) kB"
    rb"\n(?:[^\n]*\n)*?Threads:\s+(\d+)\n"
)
# Position of the minor faults among the fields behind the command name.
_MINOR_FAULTS = 7


class Shares(NamedTuple):
    """What a process has of pages that others may map too, each divided among them."""

    anon_bytes: int
    shared_bytes: int


@dataclass(slots=True)
class Process:
    """One process of the tree.

    Attributes
    ----------
    lender
        The process that started it and may have lent it all its memory, as `vfork` does
        until the new program begins: such pages are counted there, and nowhere else.
    kernel_bytes
        What the kernel holds for it: its page tables, and about what its mappings, a
        process and each thread take. Little beside one large process, and much in hundreds of small ones.
    data_bytes
        Private writable memory that it has reserved, touched or not (VmData).
    """

    pid: int
    status: StatusFile
    lender: int | None = None
    anon_bytes: int = 0
    shared_bytes: int = 0
    kernel_bytes: int = 0
    data_bytes: int = 0
    hwm_bytes: int = 0
    _is_held: bool = False

    @classmethod
    def find(
        cls, pid: int, lender: int | None = None, *, is_kept_open: bool = True
    ) -> Self | None:
        """Return a live process, else None."""
        status = StatusFile.find(pid, is_kept_open=is_kept_open)
        return None if status is None else cls(pid=pid, status=status, lender=lender)

    def close(self) -> None:
        """Forget the process."""
        self.status.close()

    def read(self) -> bool:
        """Take a reading; return False once the process has gone."""
        try:
            text = self.status.read()
        except OSError:
            # No descriptor is free to ask with: it has what it had.
            return True
        if text is None:
            return False
        hwm_bytes, anon_bytes, shared_bytes, self.data_bytes, table_bytes, n = _counts(
            text
        )
        if self.lender is not None and self._is_lent():
            self.anon_bytes = self.shared_bytes = self.kernel_bytes = 0
            return True
        self.hwm_bytes = max(self.hwm_bytes, hwm_bytes)
        self.anon_bytes = anon_bytes
        self.shared_bytes = shared_bytes
        mapping_bytes = min(table_bytes, _MOST_MAPPING_BYTES)
        own_bytes = _KERNEL_PROCESS_BYTES + n * _KERNEL_THREAD_BYTES
        self.kernel_bytes = table_bytes + mapping_bytes + own_bytes
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
        fields = stat_fields(self.pid)
        return int(fields[_MINOR_FAULTS]) * _PAGE_BYTES if fields else 0

    def shares(self) -> Shares:
        """Return anonymous and shared PSS. Slow: 14 ms for 2 GB.

        All of what was read last, where the kernel does not tell.
        """
        told = self.told_shares()
        return Shares(self.anon_bytes, self.shared_bytes) if told is None else told

    def told_shares(self) -> Shares | None:
        """Return anonymous and shared PSS, as `shares`; None where the kernel does not tell."""
        if self._is_lent():
            return Shares(0, 0)
        rollup = self._rollup()
        if rollup is None:
            return Shares(0, 0)
        if b"Pss_Anon:" not in rollup:
            return None
        return Shares(
            field_bytes(rollup, b"Pss_Anon:"), field_bytes(rollup, b"Pss_Shmem:")
        )

    def _rollup(self) -> bytes | None:
        """Return the sums over all its mappings, empty if untold; None once it has gone."""
        for _ in range(_ROUNDS):
            try:
                return (self.status.folder / "smaps_rollup").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                # The thread that was looked through may have ended, and others live on.
                if not self.read():
                    return None
            except OSError:
                break  # It may not be looked into, as one that has changed its user.
        return b""

    def hold(self) -> None:
        """Let it take no step more, until `release`."""
        fields = stat_fields(self.pid)
        if fields and fields[0] != b"T":  # Not one that the job itself has stopped.
            self._is_held = _signal(self.pid, signal.SIGSTOP)

    def release(self) -> None:
        """Let it go on, if `hold` has stopped it."""
        if self._is_held:
            self._is_held = False
            _signal(self.pid, signal.SIGCONT)


def _counts(text: bytes) -> tuple[int, int, int, int, int, int]:
    """Return the fields of `_STATUS`, those of memory in bytes; 0 for what is absent."""
    found = _STATUS.search(text, max(0, text.find(b"\nVmHWM:")))
    if found is None:
        # Of a process that is about to end, or of a kernel with other lines.
        hwm, anon, shared, data, tables, threads = (
            field_bytes(text, name) >> 10 for name in _FIELDS
        )
    else:
        hwm, anon, shared, data, tables, threads = map(int, found.groups())
    return hwm << 10, anon << 10, shared << 10, data << 10, tables << 10, threads


def _is_same_memory(pid: int, other: int) -> bool:
    """Return whether two processes are one address space; False where none can tell."""
    if _KCMP is None:
        return False
    same: int = ctypes.CDLL(None).syscall(_KCMP, pid, other, _KCMP_VM, 0, 0)
    return same == 0


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True

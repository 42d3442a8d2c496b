"""Who or what ended a worker: pure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from lowmem.protocol.messages import DEVICE_MEMORY_ERROR, MEMORY_ERROR

if TYPE_CHECKING:
    from lowmem.protocol.messages import Failed
    from lowmem.protocol.records import Verdict

_OUTSIDE_SIGNALS = frozenset(
    {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT}
)


def verdict_of_death(status: int, *, is_oom_kill: bool, last: str = "") -> Verdict:
    """Return who ended a worker that sent nothing, from its exit status and last words.

    Examples
    --------
    >>> verdict_of_death(-9, is_oom_kill=False), verdict_of_death(-11, is_oom_kill=False)
    ('signal', 'crash')
    """
    if status == -signal.SIGKILL and is_oom_kill:
        return "kernel_oom"
    if status == -signal.SIGABRT and "bad_alloc" in last:
        return "ram_limit"
    return "signal" if -status in _OUTSIDE_SIGNALS else "crash"


def signal_of_death(status: int) -> str | None:
    """Return the name of the signal that killed a process; None if none did.

    Examples
    --------
    >>> signal_of_death(-9), signal_of_death(3)
    ('SIGKILL', None)
    """
    names = {-number.value: number.name for number in signal.Signals}
    return names.get(status)


def death(
    status: int, *, is_oom_kill: bool, last: str = ""
) -> tuple[Verdict, str | None]:
    """Return who ended a worker that sent nothing, and by which signal.

    None where that tells nothing more: the kernel's own killer has but one.
    """
    verdict = verdict_of_death(status, is_oom_kill=is_oom_kill, last=last)
    is_told = verdict in {"signal", "crash"}
    return verdict, signal_of_death(status) if is_told else None


def verdict_of_failure(failure: Failed) -> Verdict:
    """Return the verdict on a worker that said itself why it ended."""
    verdicts: dict[str, Verdict] = {
        MEMORY_ERROR: "ram_limit",
        DEVICE_MEMORY_ERROR: "vram_limit",
    }
    return verdicts.get(failure.kind, "error")

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


def verdict_of_failure(failure: Failed) -> Verdict:
    """Return the verdict on a worker that said itself why it ended."""
    verdicts: dict[str, Verdict] = {
        MEMORY_ERROR: "ram_limit",
        DEVICE_MEMORY_ERROR: "vram_limit",
    }
    return verdicts.get(failure.kind, "error")

"""A process that outlives the supervisor by a moment, to end what it leaves behind.

A worker dies with its supervisor by itself (`PR_SET_PDEATHSIG`), but its children do
not inherit that, and a child in a session of its own has no more tie to anybody. So
every process of a run carries a mark in its environment, which forks keep and which
`exec` passes on; once the supervisor's end of a pipe closes, whatever the reason, a
waiting shell kills all that carry it.

Not chosen: a process namespace, where the kernel would do it, because unprivileged
containers have none; a subreaper between supervisor and worker, because exit status and
resource usage would have to pass through it; Python, because a shell takes 0.2 MiB.
What escapes: a process that was started with an emptied environment, and a supervisor
and reaper killed together.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import IO, Self

from lowmem.base.child import PIPE, started

_VARIABLE = "LOWMEM_RUN"
# The shell that is started ends at once, so that the one that waits is nobody's child:
# no part of the job's tree. It looks for the mark until none carries it, but gives up
# on what cannot be killed.
_SCRIPT = """
exec 3<&0
{
  read -r _ <&3
  for round in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    found=$(grep -lsF "$1" /proc/[0-9]*/environ)
    [ -n "$found" ] || exit 0
    for path in $found; do
      pid=${path#/proc/}
      kill -9 "${pid%/environ}" 2>/dev/null
    done
    sleep 0.05
  done
} &
"""


@dataclass(slots=True)
class Reaper:
    """Marks every process started in its block, and has them killed if this one dies.

    A context manager; where there is no shell it does nothing. To be entered before
    this process adopts orphans, or it would adopt this one.
    """

    _pipe: IO[bytes] | None = None
    _former: str | None = field(default_factory=lambda: os.environ.get(_VARIABLE))

    def __enter__(self) -> Self:
        mark = os.urandom(8).hex()
        # A signal to all processes of a job must not take it first.
        with contextlib.suppress(OSError):
            shell = started(
                ["/bin/sh", "-c", _SCRIPT, "lowmem-reaper", f"{_VARIABLE}={mark}"],
                stdin=PIPE,
                environment={"PATH": os.environ.get("PATH", os.defpath)},
                # Nor must a kill of the whole group.
                is_apart=True,
            )
            # Nothing is written: the shell reads its end.
            self._pipe = shell.stdin
            shell.wait()
        # What this process was started with stays as it is: it carries no mark itself.
        os.environ[_VARIABLE] = mark
        return self

    def __exit__(self, *_: object) -> None:
        os.environ.pop(_VARIABLE, None)
        if self._former is not None:
            os.environ[_VARIABLE] = self._former
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

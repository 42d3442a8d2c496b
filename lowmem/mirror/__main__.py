"""Start the mirror's process: ``python -m lowmem.mirror ANSWERS_FD SUPERVISOR_PID``."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.errors import EXIT_STORAGE, LowmemError
from lowmem.base.errors_mirror import MirrorUnreachableError, MirrorUnreadableError
from lowmem.base.parent import begin, say, volunteer_for_oom_killer
from lowmem.base.workspace import Workspace
from lowmem.mirror.inbox import Inbox
from lowmem.mirror.inspect import discard, fetch, inspect
from lowmem.mirror.journals import bring_journals
from lowmem.mirror.remote import Remote
from lowmem.mirror.serve import Server, answer_recover
from lowmem.mirror.upload import Uploader
from lowmem.protocol.messages import Failed, Message, line_from_message
from lowmem.protocol.mirror_messages import (
    Discard,
    Fetch,
    Inspect,
    Journals,
    Keep,
    Recover,
    StillReading,
    mirror_order_from_line,
    mirror_request_from_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_NICEST = 19
_OOM_SCORE = b"900"
# seconds between two signs of life.
_SAID_S = 1.0


def main(answers_fd: int, supervisor_pid: int) -> int:
    """Serve one request; return the exit status."""
    begin(answers_fd, supervisor_pid)
    # Processor and memory are the job's.
    with contextlib.suppress(OSError):
        os.nice(_NICEST)
    volunteer_for_oom_killer(_OOM_SCORE)

    def send(message: Message) -> None:
        say(answers_fd, line_from_message(message))

    line = sys.stdin.buffer.readline()
    if not line:
        return 1
    match mirror_request_from_line(line):
        case Recover() as request:
            send(_recover(request, send))
        case Keep() as request:
            _keep(request, send)
        case request:
            send(_inspect(request, send))
    return 0


def _recover(request: Recover, send: Callable[[Message], None]) -> Message:
    space = Workspace.at(request.workspace)
    try:
        remote = replace(Remote.open(request.url, space.root.name), heard=_heard(send))
        return answer_recover(remote, space, request.url, is_repair=request.is_repair)
    except LowmemError as error:
        return _failed(error)
    except Exception as error:  # noqa: BLE001 - a store's library raises what it likes
        problem = f"{type(error).__name__}: {error}"
        return _failed(MirrorUnreadableError(url=request.url, problem=problem))


def _inspect(
    request: Inspect | Fetch | Discard | Journals, send: Callable[[Message], None]
) -> Message:
    try:
        return _found(request, _heard(send))
    except LowmemError as error:
        return _failed(error)
    except Exception as error:  # noqa: BLE001 - a store's library raises what it likes
        return _failed(
            MirrorUnreachableError(problem=f"{type(error).__name__}: {error}")
        )


def _found(
    request: Inspect | Fetch | Discard | Journals, heard: Callable[[], None]
) -> Message:
    if isinstance(request, Journals):
        remote = replace(Remote.open(request.url, ""), heard=heard)
        return bring_journals(remote, Path(request.folder))
    space = Workspace.at(request.workspace)
    remote = replace(Remote.open(request.url, space.root.name), heard=heard)
    match request:
        case Inspect():
            return inspect(remote, space)
        case Fetch():
            return fetch(remote, space, request.sha256, Path(request.folder))
        case Discard():
            return discard(remote, space, request.names)


def _heard(send: Callable[[Message], None]) -> Callable[[], None]:
    """Return what says, now and then, that bytes go on coming."""
    clock = SystemClock()
    next_s = clock.monotonic() + _SAID_S

    def say() -> None:
        nonlocal next_s
        if clock.monotonic() >= next_s:
            next_s = clock.monotonic() + _SAID_S
            send(StillReading())

    return say


def _failed(error: LowmemError) -> Failed:
    return Failed(
        kind=type(error).__name__,
        exit_code=error.exit_code or EXIT_STORAGE,
        message=str(error),
    )


def _keep(request: Keep, send: Callable[[Message], None]) -> None:
    space = Workspace.at(request.workspace)
    inbox = Inbox()
    threading.Thread(target=_listen, args=(inbox,), daemon=True).start()
    uploader = Uploader(
        lambda: Remote.open(request.url, space.root.name),
        space,
        SystemClock(),
        has_data=request.has_data,
    )
    Server(inbox, uploader, send).run()


def _listen(inbox: Inbox) -> None:
    """Take orders; a supervisor that has gone leaves no orphan, whatever it was at."""
    for line in sys.stdin.buffer:
        inbox.put(mirror_order_from_line(line))
    os._exit(0)


if __name__ == "__main__":
    status = main(*(int(argument) for argument in sys.argv[1:]))
    # Threads of a store's library may hang on a mount that is gone.
    os._exit(status)

"""Start a worker: the order of these lines is the point of this file.

``python -m lowmem.worker ANSWERS_FD SUPERVISOR_PID [LOCK_FD]``. First the process is
tied to its supervisor, then what a kill needs is put in place, and only then is
anything of the job imported.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import traceback
from functools import partial
from typing import TYPE_CHECKING

from lowmem.base.clock import SystemClock
from lowmem.base.files import make_folder, storage_errors
from lowmem.base.parent import begin, volunteer_for_oom_killer
from lowmem.protocol.messages import MEMORY_ERROR, Run, request_from_line
from lowmem.worker.channel import Channel, forward_prints
from lowmem.worker.dispatch import answer, stacks_path
from lowmem.worker.failure import failure_from_exception
from lowmem.worker.stop_handlers import leave_stops_to

if TYPE_CHECKING:
    from lowmem.protocol.messages import Request

    _Identity = tuple[int, int]

# The kernel's own killer is to take the worker, not the notebook beside it.
_OOM_SCORE = b"800"


def main(answers_fd: int, supervisor_pid: int, *inherited_fds: int) -> int:
    """Serve one request; return the exit status."""
    own_pid = os.getpid()
    begin(answers_fd, supervisor_pid)
    # A forked child that outlives this process must not keep the workspace locked.
    inherited = {descriptor: _identity(descriptor) for descriptor in inherited_fds}
    os.register_at_fork(after_in_child=partial(_close, inherited))
    for descriptor in inherited_fds:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - the call's own form
    leave_stops_to(supervisor_pid)
    volunteer_for_oom_killer(_OOM_SCORE)
    channel = Channel.of_this_process(answers_fd, SystemClock())
    os.register_at_fork(after_in_child=channel.forked)
    line = channel.read_request()
    if not line:
        return 1
    request = None
    try:
        request = request_from_line(line)
        _prepare_stacks(request)
        forward_prints(channel)
        answer(request, channel)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the process's boundary
        # SystemExit is only an error here: a job ends by returning.
        device = request.device if isinstance(request, Run) else "cpu"
        failure = failure_from_exception(error, device=device)
        # A forked child ends as in any program, and the job may go on; but where it was
        # refused memory, the job is to be tried again with less.
        if os.getpid() == own_pid or failure.kind == MEMORY_ERROR:
            channel.fail(failure)
        else:
            traceback.print_exception(error, file=sys.__stderr__)
        return failure.exit_code
    finally:
        sys.stdout.flush()
    return 0


def _close(inherited: dict[int, _Identity | None]) -> None:
    """Close in a forked child what it inherited; its own children have nothing left.

    By then a number may stand for another file, which is not ours to close.
    """
    while inherited:
        descriptor, identity = inherited.popitem()
        if identity is not None and _identity(descriptor) == identity:
            os.close(descriptor)


def _identity(descriptor: int) -> _Identity | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _prepare_stacks(request: Request) -> None:
    """Let SIGUSR1 write every thread's stack; done in C, so never late.

    A planner has no workspace to write it to: its supervisor reads what it prints.
    """
    path = stacks_path(request)
    if path is None:
        faulthandler.register(signal.SIGUSR1, all_threads=True)
        return
    make_folder(path.parent)
    with storage_errors(path):
        stream = path.open("wb")
    faulthandler.enable(stream)
    faulthandler.register(signal.SIGUSR1, stream, all_threads=True)


if __name__ == "__main__":
    status = main(*(int(argument) for argument in sys.argv[1:]))
    # The interpreter's own ending waits for threads of frameworks; nothing of ours is
    # left to do.
    sys.stderr.flush()
    os._exit(status)

"""The process of a supervised function: what it is before and after the call."""

from __future__ import annotations

import faulthandler
import functools
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from lowmem.base.child import kill_all
from lowmem.base.errors_inline import ReturnValueError
from lowmem.base.parent import die_with, volunteer_for_oom_killer
from lowmem.inline.descendants import descendants
from lowmem.inline.guard import is_refused
from lowmem.inline.raised import Raised, raised_of
from lowmem.inline.values import encode
from lowmem.memory.allocation import set_limit
from lowmem.memory.proc import field_bytes
from lowmem.supervisor.subreaper import become_subreaper

if TYPE_CHECKING:
    from collections.abc import Callable

_ending = threading.Lock()
# The kernel's own killer is to take this one, not the notebook.
_OOM_SCORE = b"800"
OUTCOME = "outcome.json"
STACKS = "stacks.txt"


class Returned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The function returned; ``value`` is as `values.encode` has it."""

    value: str


class Unreturnable(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The function returned what cannot cross; see `ReturnValueError`."""

    place: str
    found: str


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The function ended the program, by ``sys.exit``; ``code`` is as it gave it."""

    code: int | str | None


Outcome = Returned | Unreturnable | Raised | Exited

_decoder: msgspec.json.Decoder[Outcome] = msgspec.json.Decoder(Outcome)


def read_outcome(folder: Path) -> Outcome:
    """Return what a process that ended well has left."""
    return _decoder.decode((folder / OUTCOME).read_bytes())


def serve(
    call: Callable[[], object], *, folder: Path, parent: int, ram_bytes: int
) -> NoReturn:
    """Be the process of one call, forked a moment ago: run it, write the outcome, end."""
    try:
        _detach(parent, folder)
        _limit_allocations(ram_bytes)
        _end(_outcome(call, folder), folder)
    finally:
        os._exit(1)


def _end(outcome: Outcome, folder: Path) -> NoReturn:
    """Write the outcome, leave nothing running, and end; the first thread to come does.

    No handler of the parent's, no buffer of its files, runs a second time.
    """
    _ending.acquire()
    (folder / OUTCOME).write_bytes(msgspec.json.encode(outcome))
    sys.stdout.flush()
    sys.stderr.flush()
    kill_all(lambda: descendants(os.getpid()))
    os._exit(0)


def _hear_thread(args: threading.ExceptHookArgs, folder: Path) -> None:
    """Take an exception that ended a thread: lack of memory ends the call."""
    if args.exc_value is not None and is_refused(args.exc_value):
        _end(raised_of(args.exc_value), folder)
    threading.__excepthook__(args)


def _detach(parent: int, folder: Path) -> None:
    """Be in a session of its own, adopt what is started in it, and die with the parent."""
    os.setsid()
    become_subreaper()
    die_with(parent)
    threading.excepthook = functools.partial(_hear_thread, folder=folder)
    stream = (folder / STACKS).open("wb")
    faulthandler.enable(stream)
    faulthandler.register(signal.SIGUSR1, stream, all_threads=True)
    volunteer_for_oom_killer(_OOM_SCORE)


def _limit_allocations(ram_bytes: int) -> None:
    """Let one allocation too many fail at its line; never where CUDA reserves space."""
    if Path("/dev/nvidiactl").exists():
        return
    reserved = field_bytes(Path("/proc/self/status").read_bytes(), b"VmData:")
    set_limit(os.getpid(), reserved + ram_bytes)


def _outcome(call: Callable[[], object], folder: Path) -> Outcome:
    try:
        return Returned(value=encode(call(), folder))
    except ReturnValueError as error:
        return Unreturnable(place=error.place, found=error.found)
    except SystemExit as error:
        code = error.code
        is_plain = code is None or isinstance(code, int | str)
        return Exited(code=code if is_plain else str(code))
    except BaseException as error:  # noqa: BLE001 - the process's boundary
        return raised_of(error)

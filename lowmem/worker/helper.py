"""Processes beside the worker, for work that would wait for the interpreter's lock.

A helper runs one module, which answers request after request: bytes in, bytes out, each
led by its length. It belongs to the job's tree: counted in the budget, killed with the
worker's group. It ends when its input does, so with the worker, however that ends.

Not chosen: `multiprocessing`, which sends pickles.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Self

from lowmem.base.signals import withheld

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

Process = subprocess.Popen[bytes]

# Number of bytes of a request, and of an answer.
_LENGTH = struct.Struct("<Q")

# Exit status of a helper to which memory was refused, of no other meaning to Python.
_NO_MEMORY = 3


@contextmanager
def started(
    module: str, *arguments: str, pass_fds: Sequence[int] = (), buffering: int = -1
) -> Iterator[Process]:
    """Run a module beside the worker, with pipes to it and from it, for one block.

    Parameters
    ----------
    module
        Run as a program.
    arguments
        Of its command line.
    pass_fds
        Descriptors that it inherits.
    buffering
        Of the pipes, as `open` takes it.
    """
    # The worker decides when to end, and ends its helpers by SIGKILL.
    with withheld():
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=buffering,
            pass_fds=pass_fds,
        )
    try:
        yield process
    finally:
        # Nobody waits for the answer to what it may be doing.
        process.kill()
        process.communicate()


class Helper:
    """One process that answers; for one thread at a time. A context manager.

    Parameters
    ----------
    module
        Run as a program; it calls `serve`.
    arguments
        Of its command line.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        self._module = module
        self._ending = ExitStack()
        self._process = self._ending.enter_context(started(module, *arguments))

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(self, request: bytes) -> bytes:
        """Return the answer to ``request``, waiting for it.

        Raises
        ------
        MemoryError
            If memory was refused to the helper, or it was killed.
        ChildProcessError
            If it ended in any other way; it said why on the worker's standard error.
        """
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None  # noqa: S101 - both are pipes, see above
        assert answers is not None  # noqa: S101
        try:
            _send(requests, request)
            answer = _receive(answers)
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise self._how_it_ended()
        return answer

    def _how_it_ended(self) -> MemoryError | ChildProcessError:
        status = self._process.wait()
        if status in {_NO_MEMORY, -signal.SIGKILL}:
            return MemoryError(f"memory was lacking in {self._module}")
        return ChildProcessError(f"{self._module} ended with status {status}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the process."""
        self._ending.close()


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Answer the requests of the worker until there are no more.

    What the program prints goes to standard error: standard output is for answers.
    """
    requests = sys.stdin.buffer
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        try:
            while (request := _receive(requests)) is not None:
                _send(answers, answer(request))
        except MemoryError:
            os._exit(_NO_MEMORY)
        except BrokenPipeError:
            # The worker has gone.
            os._exit(0)


def _send(stream: IO[bytes], message: bytes) -> None:
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    """Return the next message; None where it is cut off, or there is none."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (n_bytes,) = _LENGTH.unpack(head)
    message = stream.read(n_bytes)
    return message if len(message) == n_bytes else None

"""Processes beside the worker, for work that would wait for the interpreter's lock.

A helper runs one module, which answers request after request: bytes in, bytes out, each
a line of JSON. It belongs to the job's tree: counted in the budget, killed with the
worker's group. It ends when its input does, so with the worker, however that ends.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Self

import msgspec

from lowmem.base.child import STANDARD_ERROR, Child
from lowmem.base.parent import answer_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Exit status of a helper to which memory was refused, of no other meaning to Python.
_NO_MEMORY = 3


def beside(module: str, *arguments: object, pass_fds: Sequence[int] = ()) -> Child:
    """Run a module beside the worker, in its group; what it prints is standard error."""
    return Child(
        module,
        *arguments,
        output=STANDARD_ERROR,
        pass_fds=pass_fds,
        is_apart=False,
        longest_bytes=sys.maxsize,
    )


class Helper:
    """One process that answers; for one thread at a time. A context manager.

    Parameters
    ----------
    module
        Run as a program; it calls `serve`.
    arguments
        Of its command line.
    """

    def __init__(self, module: str, *arguments: object) -> None:
        self._module = module
        self._child = beside(module, *arguments)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._child.pid

    def ask(self, request: bytes) -> bytes:
        """Return the answer to ``request``, waiting for it.

        Raises
        ------
        MemoryError
            If memory was refused to the helper, or it was killed.
        ChildProcessError
            If it ended in any other way; it said why on the worker's standard error.
        """
        self._child.send(msgspec.json.encode(request) + b"\n")
        while self._child.is_open:
            for line in self._child.lines(None):
                return msgspec.json.decode(line, type=bytes)
        status = self._child.wait().status
        if status in {_NO_MEMORY, -signal.SIGKILL}:
            raise MemoryError(f"memory was lacking in {self._module}")
        raise ChildProcessError(f"{self._module} ended with status {status}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the process."""
        self._child.end()


def serve(make: Callable[[Sequence[str]], Callable[[bytes], bytes]]) -> None:
    """Answer the requests of the worker until there are no more.

    Parameters
    ----------
    make
        Given the arguments of the command line, returns what answers.
    """

    def with_bytes(arguments: Sequence[str]) -> Callable[[bytes], bytes]:
        answer = make(arguments)
        return lambda line: msgspec.json.encode(
            answer(msgspec.json.decode(line, type=bytes))
        )

    try:
        # A job may start it from a thread that does not last.
        answer_lines(with_bytes, is_tied=False)
    except MemoryError:
        os._exit(_NO_MEMORY)

"""Become the process that supervises: by ``exec``, in place of the command line.

The command line's libraries take more memory than all the rest of the supervisor, and
memory of a Python process comes back only when it ends. So once a line is understood,
its process replaces itself: the same process id, terminal and descriptors, and 10 MiB
less for as long as it runs.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from lowmem.base.stop_signals import withhold
from lowmem.base.workspace import require_text


def become(module: str, orders: bytes) -> NoReturn:
    """Replace this process by a module that is given the number of a file of orders."""
    for word in sys.argv:
        require_text(word)
    # In memory, and inherited: the next program reads it from its start.
    descriptor = os.memfd_create("lowmem-orders", 0)
    with open(descriptor, "wb", closefd=False) as stream:
        stream.write(orders)
    os.lseek(descriptor, 0, os.SEEK_SET)
    sys.stdout.flush()
    sys.stderr.flush()
    line = [sys.executable, "-m", module, str(descriptor)]
    # One that comes now is told to the new program, once that can take it.
    withhold()
    os.execv(sys.executable, line)  # noqa: S606 - no shell is the point

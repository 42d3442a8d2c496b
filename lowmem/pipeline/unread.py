"""Whether anybody still reads what this process prints."""

from __future__ import annotations

import select
import sys


def is_unread() -> bool:
    """Return whether the reader of standard output has gone: there is nobody to tell.

    Cost: a microsecond. A file, a terminal and what is closed already count as read.
    """
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    asking = select.poll()
    # Of a pipe without a reader an error is told, whatever is asked for.
    asking.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in asking.poll(0))

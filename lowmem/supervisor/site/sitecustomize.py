"""Read by every Python below `lowmem exec`, before its program: let it say where it is.

One signal, which nobody else sends, makes it write every thread's stack to a file of
lowmem's; it does so in C, at any moment. Else nothing changes: this folder is taken out
of `sys.path` again, and a `sitecustomize` of the user's is run as if this were none.

Any Python may meet this file, of any age: whatever fails here is left alone.
"""
# mypy: ignore-errors
# No `from __future__ import annotations`: a Python before 3.7 would complain of it.

import os
import sys

# The descriptor is one that no program counts on to be given.
_HIGH_DESCRIPTOR = 900


def _say_where(told):
    import faulthandler
    import fcntl
    import signal

    number, _, path = told.partition(":")
    if signal.getsignal(int(number)) != signal.SIG_DFL:
        return
    low = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        high = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, _HIGH_DESCRIPTOR)
    finally:
        os.close(low)
    faulthandler.register(int(number), file=high, all_threads=True)


def _go_on():
    from importlib import util
    from importlib.machinery import PathFinder

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != here]
    spec = PathFinder.find_spec(__name__, sys.path)
    if spec is not None and spec.loader is not None:
        module = util.module_from_spec(spec)
        sys.modules[__name__] = module
        spec.loader.exec_module(module)


try:
    if "LOWMEM_STACKS" in os.environ:
        _say_where(os.environ["LOWMEM_STACKS"])
except Exception:
    pass
_go_on()

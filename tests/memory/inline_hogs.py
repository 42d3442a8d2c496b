"""Hogs under each of the three forms, in a process of their own: prints what became of it.

Run as a program: ``python inline_hogs.py block|cell|function FOLDER``.
"""

from __future__ import annotations

import json
import mmap
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import lowmem

MIB = 2**20
BUDGET_MIB = 300
held = []


def fill(size):
    return bytearray(b"x" * (size["mib"] * MIB))  # any thread


def one_shot(_folder):
    held.append(b"x" * (2000 * MIB))  # one shot


def ramp(_folder):
    while True:
        held.append(fill({"mib": 1}))


def eight_threads(_folder):
    size = {"mib": 60}
    threads = [
        threading.Thread(target=lambda: held.append(fill(size))) for _ in range(8)
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        time.sleep(5)
    finally:
        # The block ends while some have not begun: what they take is outside of it.
        size["mib"] = 0


def forked_child(_folder):
    pid = os.fork()
    if pid == 0:
        # In small steps, so that none is refused: the watcher has to see it.
        while True:
            held.append(b"x" * (MIB // 4))
    os.waitpid(pid, 0)  # forked child


def mapped_file(folder):
    path = Path(folder) / "large"
    with path.open("w+b") as stream:
        stream.truncate(2 * BUDGET_MIB * MIB)
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            total = sum(mapped[place] for place in range(0, len(mapped), 4096))
    path.unlink()
    return total


HOGS = {f.__name__: f for f in (one_shot, ramp, eight_threads, forked_child)}


def status_mib(name):
    text = Path("/proc/self/status").read_text()
    return int(text.split(name)[1].split()[0]) / 1024


def reset_peak():
    Path("/proc/self/clear_refs").write_text("5")


def state():
    """What must be as it was before."""
    number = signal.SIGRTMIN + 7
    return [
        resource.getrlimit(resource.RLIMIT_DATA),
        str(signal.getsignal(number)),
        str(threading.excepthook),
    ]


def in_block(hog, folder):
    with lowmem.budget(ram=f"{BUDGET_MIB}MiB") as used:
        hog(folder)
    return used


def in_function(hog, folder):
    lowmem.supervised(ram=f"{BUDGET_MIB}MiB")(hog)(folder)


def in_cell(hog, folder):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "lowmem")
    shell.user_ns |= {"hog": hog, "folder": folder}
    shell.run_cell_magic("lowmem", f"--ram {BUDGET_MIB}MiB", "hog(folder)")


def outcome(form, hog, folder):
    before = state()
    reset_peak()
    told = {"error": None, "where": None}
    try:
        form(hog, folder)
    except (lowmem.BudgetExceededError, lowmem.FunctionError) as error:
        told = {
            "error": type(error).__name__,
            "where": getattr(error, "where", None),
            "message": str(error),
        }
    # Of this process alone: file-backed pages are no part of the budget.
    told["peak_mib"] = status_mib("VmHWM:") - status_mib("RssFile:")
    held.clear()
    told["is_as_before"] = state() == before
    told["children"] = len(Path(f"/proc/self/task/{os.getpid()}/children").read_text())
    return told


def main(form, folder):
    forms = {"block": in_block, "cell": in_cell, "function": in_function}
    hogs = {**HOGS, "mapped_file": mapped_file}
    for name, hog in hogs.items():
        sys.stdout.write(
            json.dumps({"hog": name, **outcome(forms[form], hog, folder)}) + "\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

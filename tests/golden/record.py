"""Write the texts anew: ``python -m tests.golden.record [WHERE[/SITTING] ...]``.

``WHERE`` is a folder of `texts/`, such as ``80`` or ``pipe``; all of them without one. Read
the difference before it is committed: it is what people will see.
"""

from __future__ import annotations

import signal
import sys

from tests.golden.kept import SITTINGS, keep, play


def main(wanted: list[str]) -> None:
    """Play what is wanted, or all, and keep its texts."""
    # A shell has it ignored by what runs in the background, and by all that this starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    known = [(where, one.__name__) for where, all_ in SITTINGS.items() for one in all_]
    for where, sitting in known:
        if not wanted or {where, f"{where}/{sitting}"} & set(wanted):
            for file in keep(where, sitting, play(where, sitting)):
                sys.stdout.write(f"{file}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])

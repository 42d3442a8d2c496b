"""Within a running program: budgets of a cell, a block, a function; jobs from a notebook.

`guard` holds a block of this process, `magic` a cell by it, and `tasks` knows how one that
awaits is interrupted; `supervised` runs a function in a forked process. Both are watched
from outside by the same light process, `watcher`, because a thread in here would wait for
the interpreter's lock during a long C call.

`colab` runs the five jobs from a notebook, as commands in a `terminal` of their own.
"""

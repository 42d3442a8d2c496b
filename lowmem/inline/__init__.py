"""Budgets within a running program: a cell of a notebook, a block, a function.

`guard` holds a block of this process, `magic` a cell by it; `supervised` runs a function
in a forked process. Both are watched from outside by the same light process, `watcher`,
because a thread in here would wait for the interpreter's lock during a long C call.
"""

"""PROCESS 1, the supervisor: plans, starts, watches, limits, records.

It must survive whatever the worker does, so it stays small (no NumPy, no job's code) and
never waits for anything without a limit. `run` is one job from plan to end, `attempt`
one worker's lifetime in it, `watched` the watch over any worker, `decide` what to do about
an event and `endings` about the end of a worker (both pure).
"""

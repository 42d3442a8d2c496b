"""PROCESS 1, the supervisor: plans, starts, watches, limits, records.

It must survive whatever the worker does, so it stays small (no NumPy, no job's code) and
never waits for anything without a limit. `run` is one job from plan to end, `attempt`
one worker's lifetime, `decide` what to do about an event (pure), `process` the only user
of subprocess.
"""

"""PROCESS 2, the worker: the only process that loads arrays and ML frameworks.

Started as ``python -m lowmem.worker`` with one request on its standard input; answers
go to the descriptor named in its argument. `__main__` is the order of starting up,
`dispatch` turns requests into answers, `cycles` runs a job, `registry` finds jobs.
"""

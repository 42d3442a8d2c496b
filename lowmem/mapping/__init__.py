"""Map a function of a block of rows over an array, as a job: no loop of the user's own.

`map_decorator` is the decorator ``lowmem.map`` and `naming` how ``lowmem map`` names
such a job; `map_description` is what the planner knows of it, `map_source` what is
mapped, `sizes` how many rows go where (pure). Only the worker loads `work`, which maps,
`source_rows`, which reads, and `rowwise`, which refuses a function whose result depends
on more than each row.
"""

"""Map a function of a block of rows over an array, as a job: no loop of the user's own.

`short_form` is the decorator ``lowmem.map`` and `naming` how ``lowmem map`` names such a
job; `described` is what the planner knows of it, `source` what is mapped, `sizes` how many
rows go where (pure). Only the worker loads `work`, which maps, `rows`, which reads, and
`rowwise`, which refuses a function whose result depends on more than each row.
"""

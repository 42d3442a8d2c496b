"""What a journal's records mean: one fold, and views of what it returns.

`fold` is the only reader of records in order. It returns a `History` (`job_history`):
of each job its runs, its workers, the cycles that count, what it has published, its
peaks and its stops. Supervisor, report, verify, repair and mirror ask that one value,
so they cannot answer differently. `provenance` tells from it by which runs a result
came to be; the `sittings`, which usage is counted by, are collected on demand.
"""

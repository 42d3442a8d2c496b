"""Several processes, each with a share of one job's blocks, in one shared folder.

`shard` says which blocks are whose (pure), `markers` what the files say by their names
(pure), `claims` who takes which block next and which output counts (pure). `storage` is
a folder that may list late and cannot rename, `board` what is written to it and read, and
`claiming` goes from claim to claim. Nothing here knows of jobs, arrays or processes, so
that another launcher (SLURM's arrays, Dask, Ray) needs no more than to start
``lowmem run JOB --shard I/N``. `docs/scale.md` has the reasons.
"""

"""Engines that exist, as launchers of shards: this machine, Dask, Ray, SLURM.

`next_step` decides: which shards are started, when the blocks are put together, with which
exit code it ends (pure). `launch` carries that out with any `engine`: something that starts
``lowmem run JOB --shard I/N`` for each I and tells how each ended. `shard_process` is that
command as a process; `launch_folder` what a launch and its shards tell each other in the
shared workspace; `elsewhere` a shard as the task of a Dask or Ray worker. `local`, `dask`,
`ray` and `slurm` are loaded when they are chosen.

Only words cross to another machine and come back. The engine has no part in the result:
a shard that is started twice, or moved, is one more claimant of `lowmem.shards`.
"""

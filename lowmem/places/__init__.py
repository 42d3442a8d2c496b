"""Where lowmem runs: which place this is, what ends a run there, and when.

`surroundings` looks, `place` decides, purely; `time_left` asks the batch system;
`examination` measures the machine and says what is wrong; `disk_speed` has its disks
tried, by `disk_trial`, a process of its own.
"""

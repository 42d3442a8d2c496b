"""What memory is used, what there is, and what to do about it.

`process` and `machine` are the only readers of /proc and psutil, `gpu` of NVML;
`budget` decides, purely.
"""

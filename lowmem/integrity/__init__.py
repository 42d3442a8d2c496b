"""Whether a workspace is as it was written: read everything, say what is damaged.

Reads only, in bounded memory, without NumPy, Zarr or any job's code; what can be made
good is made good by `lowmem.supervisor.mend`.
"""

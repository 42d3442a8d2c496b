"""Checksums of what is published: of files, and of the chunks of stores.

Reads only, in bounded memory, without NumPy, Zarr or any job's code. Worker, planner and
command line use it; `lowmem.repair` makes good what is damaged.
"""

"""Zarr stores: what they hold, and reading and writing rows of them in bounded memory."""

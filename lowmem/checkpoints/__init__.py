"""Checkpoints: a job's state on the disk, whole or absent.

A checkpoint is a folder ``gen-00000012`` with `manifest.json` and, where the job has
arrays, ``state.npz``. `commit` makes one, `restore` finds the newest that verifies,
`retention` says which may go.
"""

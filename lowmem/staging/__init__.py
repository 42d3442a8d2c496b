"""Data from a slow mount to the local disk: whole, checked, resumable, in little memory.

`stage` is the course of it; `decide` says what is to be copied, and from which byte on,
without touching anything; `survey` looks at the source, `ledger` remembers what was
copied, `blocks` copies and reads back. Nothing here knows of images or stores.
"""

"""Data from a slow mount to the local disk: whole, checked, resumable, in little memory.

`copying` is the course of it; `copy_plan` says what is to be copied, and from which byte
on, without touching anything; `survey` looks at the source, `copied_blocks` remembers what
was copied, `block_copy` copies and reads back. Nothing here knows of images or stores.
"""

"""The state of a loop that somebody wrote, in a folder: `lowmem.Checkpoint`.

`checkpoint` is that class; `checkpoint_folder` opens its folder and `stopping` hears
who wants it to end. A state becomes a tree of JSON values and named arrays, which
`lowmem.checkpoints` commits: `tree` walks it, and each kind of value has a file that
knows how it is taken apart and put back (`plain`, `numpy_values`, `tensors`,
`generators`, `variables`, `estimators`, `objects`); `kinds` names them in the order in
which they are asked.

Frameworks are never imported for their own sake: a value of theirs can only be there if
they have been, or if a commit holds one.
"""

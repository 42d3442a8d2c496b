"""The state of a loop that somebody wrote, in a folder: `lowmem.Checkpoint`.

`checkpoint` is that class; `checkpoint_folder` opens its folder and `stopping` hears
who wants it to end. `lowmem.states` takes a state apart and puts it back, and
`lowmem.checkpoints` commits it.
"""

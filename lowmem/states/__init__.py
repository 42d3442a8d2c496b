"""Values and objects as a tree of JSON values and named arrays, and back: no pickle.

What a loop keeps (`lowmem.loops`) and what a job keeps by name (`lowmem.worker`) are taken
apart and put back here. `tree` walks a state, and each kind of value has a file that knows
how it is taken apart and put back (`plain`, `numpy_values`, `tensors`, `generators`,
`variables`, `estimators`, `objects`); `kinds` names them in the order in which they are
asked.

Frameworks are never imported for their own sake: a value of theirs can only be there if
they have been, or if a commit holds one.
"""

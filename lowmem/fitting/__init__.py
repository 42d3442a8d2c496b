"""Keras' `fit`, cut anywhere and equal to one that was never cut: see docs/fit.md.

`fit` is `lowmem.fit`; `resume` is `lowmem.ExactResume`, the callback that does it all.
`given` turns what a caller gives to `fit` into what Keras is given, or refuses it. A
source of `batch_sources` knows each batch by epoch and index, and `epoch_batches` hands
them to Keras.
`heard` takes and puts back the state of callbacks, `kept` that of the whole training.
`compared` refuses a training that is another, by what `described` says of the model.
`held` calls the caller's callbacks, and `mirrored` keeps a second copy of the commits.

The loop and the arithmetic are Keras' own. What is added is where an epoch begins, and
what is put back there.
"""

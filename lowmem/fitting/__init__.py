"""Keras' `fit`, cut anywhere and equal to one that was never cut: see docs/fit.md.

`fit` is `lowmem.fit`; `resume` is `lowmem.ExactResume`, the callback that does it all.
`fit_arguments` turns what a caller gives to `fit` into what Keras is given, or refuses it. A
source of `batch_sources` knows each batch by epoch and index, and `epoch_batches` hands
them to Keras.
`callback_states` takes and puts back the state of callbacks, `fit_state` that of all.
`resume_checks` refuses a training that is another, `model_description` tells models apart.
`callback_holder` calls the caller's callbacks; `mirrored_checkpoint` keeps two copies.

The loop and the arithmetic are Keras' own. What is added is where an epoch begins, and
what is put back there.
"""

"""Everything that touches Keras; imported on the worker's side only.

- `session`: seeds, determinism, device, memory cap; begins and ends a Keras process.
- `keras_private`: the only file that uses names that Keras keeps to itself.
- `backend`: the only file that calls TensorFlow, JAX or PyTorch by name.
- `sequence`: the batch source, which any Keras user can take alone.
- `steps`: one optimiser step, in one piece or in accumulated micro-batches.
- `state`: all that must be saved so that a resumed training equals an unbroken one.
- `stopping`: early stopping, as a value.
- `loop`: epochs, validation and history, cut anywhere.
"""

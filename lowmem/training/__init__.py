"""Everything that touches Keras; imported on the worker's side only.

- `session`: seeds, determinism, device, memory cap; begins and ends a Keras process.
- `keras_private`: the only file that uses names that Keras keeps to itself.
- `backend`: the only file that calls TensorFlow, JAX or PyTorch by name.
- `sequence`: the batch source, which any Keras user can take alone.
- `autoencoder`, `loss`: the default model.
- `custom`: the user's own model.
- `steps`: one optimiser step, in one piece or in accumulated micro-batches.
- `state`: all that must be saved so that a resumed training equals an unbroken one.
- `modelfile`: refuses model files that take anything from outside themselves.
- `stopping`: early stopping, as a value.
- `loop`: epochs, validation and history, cut anywhere.
- `parts`: encoder and decoder out of the autoencoder, and files of them.
"""

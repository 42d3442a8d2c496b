"""Everything that touches Keras; imported on the worker's side only.

- `session`: seeds, determinism, device, memory cap; begins and ends a Keras process.
- `keras_private`: the only file that uses names that Keras keeps to itself.
- `backend`: the only file that calls TensorFlow, JAX or PyTorch by name.
- `sequence`: the batch source, which any Keras user can take alone.
- `autoencoder`, `loss`: the default model.
- `custom`: the user's own model.
- `accumulating`: an optimiser that gathers a batch's gradients from parts.
- `divisible`: whether a step on a batch is the sum of steps on its parts; it is tried.
- `asked`: what Keras is given in the order of the sequence, whatever it asks for.
- `nested`: models whose `z` is inside another, laid flat.
- `code`: models with code of the user's own, opened again by later jobs.
- `draws`: layers that draw at random where nothing is trained.
- `steps`: one optimiser step, in one piece or in accumulated micro-batches.
- `state`: all that must be saved so that a resumed training equals an unbroken one.
- `stopping`: early stopping, as a value.
- `loop`: epochs, validation and history, cut anywhere.
- `parts`: encoder and decoder out of the autoencoder, and files of them.
"""

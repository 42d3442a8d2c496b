"""The study's autoencoder: the default model, its loss, its parts and their files.

- `autoencoder`, `variational`, `loss`: the models that `train` builds, and their losses on
  bytes.
- `user_model`: the user's own model. `code`: opens it again by the code that built it.
- `model_source`: finds that code's file. `import_consent`: whether the user said that
  it may run.
- `nested`: lays a model flat whose ``z`` is inside another. `draws`: layers that draw.
- `parts`: encoder and decoder out of an autoencoder, and files of them.
- `model_file`: refuses model files that take anything from outside themselves.
- `encoder`: a model file as an encoder, in batches of one fixed size.
- `latents_origin`: what latents were made of and by what, as their store says it.

All but these two are imported in the worker alone, since they load Keras.
"""

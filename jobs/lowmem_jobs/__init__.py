"""The five built-in jobs, written only against lowmem's public API.

One folder each, in the order in which `lowmem run all` takes them: `ingest` makes the
store of images, `train` the autoencoder, `encode` the latent vectors, `analyze` their
statistics, `generate` new vectors and images. In each, ``job.py`` describes the job to
the planner, which loads no array library, and ``work.py`` does it in the worker. They
never import each other: they meet in the files of the workspace. `append`, in the folder
of `ingest`, adds images to the store and is not part of `all`.

`model_trial` is a sixth of another kind: it makes nothing, and `lowmem plan --model` runs it
for the peak of a user's model.
"""

"""The jobs `ingest` and `append`: from any source of images to one store of equal RGB images.

Read `job` (the options), `ingest_recipe` (what is wanted) and `work` (how a chunk comes
to be) first. A source is a numbered sequence of images in a fixed order: files of a
folder (`folder`), members of an archive (`zips`, `tars`), rows of an array (`arrays`)
or faces that are drawn (`faces`, `drawing`). `image_decoder` makes RGB of every mode
that Pillow reads; `decode_ahead` has that done in order by several processes:
`decoder_processes` owns them, `decoder_program` is what runs in them, `decode_tasks`
what they are given.
"""

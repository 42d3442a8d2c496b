"""The jobs `ingest` and `append`: from any source of images to one store of equal RGB images.

Read `job` (the options), `ingest_recipe` (what is wanted) and `work` (how a chunk comes
to be) first. A source is a numbered sequence of images in a fixed order: files of a
folder (`folder`), members of archives (`zips`, `tars`, `tar_shards`), rows of an array (`arrays`)
or faces that are drawn (`faces`, `drawing`). `image_decoder` makes RGB of every mode
that Pillow reads; `decode_ahead` has that done in order by several processes:
`decoder_processes` owns them, `decoder_program` is what runs in them, `decode_tasks`
what they are given.

Labels follow from folders (`folder_labels`), or `label_source` gives them: from a table that
names the pictures (`joined_labels`; `label_lines`, `label_columns`, `label_values` and
`label_table` read it), or from files beside them (`sidecar_labels`, `sidecar_cells`).
"""

"""The job `pack`: from tables and records to one Zarr group of aligned columns.

Read `job` (the options), `pack_recipe` (what is wanted) and `work` (how a block of rows
is stored) first. `table_files` finds the files and sees that they stay as they are;
`table_formats` names what reads each kind. A reader gives blocks of rows from a position
on: `parquet_rows`, `ipc_rows`, `hdf5_rows` of columns whose types the file declares (by
way of `arrow_columns`), `csv_rows`, `jsonl_rows`, `text_rows` and `tfrecord_rows` of
values that `seen_values` has to look at first. `column_types` is what either comes to;
`column_writer` puts rows into whole chunks.
"""

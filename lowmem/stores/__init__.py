"""Zarr stores: what they hold, and reading and writing rows of them in bounded memory.

Public, for authors of jobs, each loaded on first use:

- `RowWriter`, `write_group_attributes`, `codec_names`: a store in the making, durable up
  to each commit; `write_blocks`, of one whose blocks are independent, its whole work.
- `RowReader`, `CachedReader`: rows of any Zarr array. `Reading`, `plan_reading`: what a
  budget gives to a shuffled reader.
- `read_array_info`, `array_names`, `ArrayInfo`, `packing_at`: what a store says of itself,
  without Zarr or NumPy, so that a job's description may ask; `read_header`, `header_fields`
  and `NoHeaderError` the same of a `.npy` file, and `mapped_array` its rows; `content_errors`, what a broken store
  raises as bad data.
- `fingerprint`, `two_part`, `is_same_data`: whether the data of a recipe are the same.
- `find_images`, `images_to_use`, `images_at_once`, `Images`, `PIXEL_MAX`: images, and how
  many of them a model is to compute at once.
- `split_rows`, `Split`: which rows are held out; `unit_hash`, what decides it by a name. `LABELS`, `CLASS_NAMES`: where a store
  keeps the class of each image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowmem.base.lazy import names_of

if TYPE_CHECKING:
    from lowmem.protocol.recipe import is_same_data
    from lowmem.stores.block_writer import write_blocks
    from lowmem.stores.cache import CachedReader
    from lowmem.stores.codecs import codec_names
    from lowmem.stores.foreign_stores import packing_at
    from lowmem.stores.group_axes import axes_in_groups
    from lowmem.stores.images import (
        PIXEL_MAX,
        Images,
        find_images,
        images_at_once,
        images_to_use,
    )
    from lowmem.stores.labels import CLASS_NAMES, LABELS
    from lowmem.stores.mapped import mapped_array
    from lowmem.stores.metadata import (
        ArrayInfo,
        array_names,
        fingerprint,
        read_array_info,
        two_part,
    )
    from lowmem.stores.npy_header import NoHeaderError, header_fields, read_header
    from lowmem.stores.reading import Reading, plan_reading
    from lowmem.stores.row_reader import RowReader
    from lowmem.stores.row_writer import RowWriter, write_group_attributes
    from lowmem.stores.validation_split import Split, split_rows, unit_hash
    from lowmem.stores.zarr_library import content_errors

__all__ = [
    "CLASS_NAMES",
    "LABELS",
    "PIXEL_MAX",
    "ArrayInfo",
    "CachedReader",
    "Images",
    "NoHeaderError",
    "Reading",
    "RowReader",
    "RowWriter",
    "Split",
    "array_names",
    "axes_in_groups",
    "codec_names",
    "content_errors",
    "find_images",
    "fingerprint",
    "header_fields",
    "images_at_once",
    "images_to_use",
    "is_same_data",
    "mapped_array",
    "packing_at",
    "plan_reading",
    "read_array_info",
    "read_header",
    "split_rows",
    "two_part",
    "unit_hash",
    "write_blocks",
    "write_group_attributes",
]

__getattr__, __dir__ = names_of(
    __name__,
    {
        "lowmem.protocol.recipe": ["is_same_data"],
        "lowmem.stores.cache": ["CachedReader"],
        "lowmem.stores.codecs": ["codec_names"],
        "lowmem.stores.foreign_stores": ["packing_at"],
        "lowmem.stores.group_axes": ["axes_in_groups"],
        "lowmem.stores.images": [
            "PIXEL_MAX",
            "Images",
            "find_images",
            "images_at_once",
            "images_to_use",
        ],
        "lowmem.stores.labels": ["CLASS_NAMES", "LABELS"],
        "lowmem.stores.mapped": ["mapped_array"],
        "lowmem.stores.metadata": [
            "ArrayInfo",
            "array_names",
            "fingerprint",
            "read_array_info",
            "two_part",
        ],
        "lowmem.stores.npy_header": ["NoHeaderError", "header_fields", "read_header"],
        "lowmem.stores.zarr_library": ["content_errors"],
        "lowmem.stores.block_writer": ["write_blocks"],
        "lowmem.stores.row_reader": ["RowReader"],
        "lowmem.stores.reading": ["Reading", "plan_reading"],
        "lowmem.stores.validation_split": ["Split", "split_rows", "unit_hash"],
        "lowmem.stores.row_writer": ["RowWriter", "write_group_attributes"],
    },
)

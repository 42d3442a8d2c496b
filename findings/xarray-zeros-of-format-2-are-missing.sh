#!/bin/sh
# xarray 2026.9.0 with zarr 3.1.6: zeros of a plain array in a store of format 2 are read as NaN, and integers as floats.
# zarr writes "fill_value": 0 for every such array, whether anybody meant it or not; xarray takes it for _FillValue of
# the CF conventions. In format 3 it does not, and the zeros stay.
# Seen: "format 2: float32 [nan  1.  2.]; format 3: uint8 [0 1 2]"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet xarray==2026.9.0 zarr==3.1.6 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
import xarray
import zarr

said = []
for version in (2, 3):
    group = zarr.open_group(f"{version}.zarr", mode="w", zarr_format=version)
    more = {"dimension_names": ["n"]} if version == 3 else {}
    array = group.create_array("z", data=np.arange(3, dtype=np.uint8), **more)
    if version == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = ["n"]
    found = xarray.open_zarr(f"{version}.zarr", consolidated=False)["z"].values
    said.append(f"format {version}: {found.dtype} {found}")
print("; ".join(said))
assert said == ["format 2: float32 [nan  1.  2.]", "format 3: uint8 [0 1 2]"], said
PYTHON

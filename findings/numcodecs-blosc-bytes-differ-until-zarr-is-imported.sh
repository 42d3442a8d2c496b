#!/bin/sh
# numcodecs 0.16.5: Blosc packs the same array into other bytes from call to call, until zarr 3.1.6 is imported.
# Blosc's threads store the blocks of a buffer in the order in which they are done. All of it decodes to the same
# array; only sizes and checksums of the files differ. zarr.codecs sets numcodecs.blosc.use_threads to False for the
# whole process, so a program that never imports zarr, or sets it back, cannot compare files by their SHA-256.
# Seen: "use_threads None: other bytes in 50 calls; use_threads False: the same bytes in 50 calls"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numcodecs==0.16.5 zarr==3.1.6 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numcodecs
import numpy as np
from numcodecs import blosc

blosc.set_nthreads(4)
rows = np.random.default_rng(1).integers(0, 99, (8, 2**18)).astype("uint8")
codec = numcodecs.Blosc(cname="zstd", clevel=1, shuffle=numcodecs.Blosc.BITSHUFFLE, blocksize=2**16)


def told():
    packed = {bytes(codec.encode(rows)) for _ in range(50)}
    assert all(codec.decode(one) == rows.tobytes() for one in packed)
    return "the same bytes" if len(packed) == 1 else "other bytes"


before = f"use_threads {blosc.use_threads}: {told()} in 50 calls"
import zarr.codecs  # noqa: E402, F401

seen = f"{before}; use_threads {blosc.use_threads}: {told()} in 50 calls"
print(seen)
assert seen == (
    "use_threads None: other bytes in 50 calls; use_threads False: the same bytes in 50 calls"
), seen
PYTHON

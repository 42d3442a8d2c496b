#!/bin/sh
# Pillow 13.0.0: white of a JPEG 2000 with several channels of more than eight bits is black.
# Each sample is rounded to eight bits and cut, not clipped: 65535 becomes 256, which is 0. Of 16-bit RGB
# values 65408 and above come out as 0, alpha too, so that an opaque picture is clear. Grey is right.
# Seen: "Pillow 13.0.0 (0, 0, 0) from 65535, (255, 255, 255) from 65407; imagecodecs gives 65535"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 imagecodecs==2026.3.6 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import io

import imagecodecs
import numpy as np
import PIL
from PIL import Image

seen = []
for value in (65535, 65407):
    samples = np.full((16, 16, 3), value, np.uint16)
    data = imagecodecs.jpeg2k_encode(samples, level=0, reversible=True)
    assert (imagecodecs.jpeg2k_decode(data) == samples).all()
    seen.append(Image.open(io.BytesIO(data)).getpixel((8, 8)))
print(
    f"Pillow {PIL.__version__} {seen[0]} from 65535, {seen[1]} from 65407; "
    "imagecodecs gives 65535"
)
assert seen == [(0, 0, 0), (255, 255, 255)], seen
PYTHON

#!/bin/sh
# Pillow 13.0.0: of an icon's pictures of one size, the one with the fewest colours is shown.
# An .ico file may hold the same size at several depths; Windows shows the deepest that the screen can. Pillow
# sorts by size, the largest first, and within a size by depth, the lowest first, and takes the first: 1 bit
# before 32. The order in the file does not matter, and there is no warning; `ico.frame(n)` reaches the others.
# Seen: "Pillow 13.0.0 (255, 255, 255, 255), listed first or last; frame 1 is (200, 40, 10, 255)"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0
"$folder/venv/bin/python" - <<'PYTHON'
import io
import struct

import PIL
from PIL import Image

SIDE = 16


def bitmap(bits, palette, row):
    head = struct.pack("<I2i2H6I", 40, SIDE, 2 * SIDE, 1, bits, 0, 0, 0, 0, 0, 0)
    return head + palette + row * SIDE + bytes(4 * SIDE)


white_of_two = bitmap(1, bytes(4) + b"\xff\xff\xff\0", b"\xff\xff\0\0")
red_of_many = bitmap(32, b"", bytes((10, 40, 200, 255)) * SIDE)
seen = []
for pair in ([(1, white_of_two), (32, red_of_many)], [(32, red_of_many), (1, white_of_two)]):
    listed, bodies = b"", b""
    for bits, data in pair:
        start = 6 + 32 + len(bodies)
        listed += struct.pack("<4B2H2I", SIDE, SIDE, 0, 0, 1, bits, len(data), start)
        bodies += data
    icon = Image.open(io.BytesIO(struct.pack("<3H", 0, 1, 2) + listed + bodies))
    other = icon.ico.frame(1).getpixel((8, 8))
    seen.append((icon.getpixel((8, 8)), other))
assert seen[0] == seen[1], seen
print(f"Pillow {PIL.__version__} {seen[0][0]}, listed first or last; frame 1 is {seen[0][1]}")
assert seen[0] == ((255, 255, 255, 255), (200, 40, 10, 255)), seen
PYTHON

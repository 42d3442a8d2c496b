"""Decoders within Pillow: `jpeg_truncation` and `png_truncation` wrap them.

Pillow's documented way to a decoder goes by the name of its codec, which the wrappers
take. `tests/unit/test_ingest_missing.py` fails where a release has them no more.
"""

from __future__ import annotations

from typing import Any

from PIL import _imaging


def jpeg_decoder(mode: str, *args: object) -> Any:  # noqa: ANN401 - it has no type
    """Return libjpeg's decoder, for the arguments that Pillow has for it."""
    return _imaging.jpeg_decoder(mode, *args)


def zip_decoder(mode: str, *args: object) -> Any:  # noqa: ANN401 - as above
    """Return zlib's decoder of a PNG, for the arguments that Pillow has for it."""
    return _imaging.zip_decoder(mode, *args)

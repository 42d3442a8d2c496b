"""Data for the worked examples, drawn block by block to the disk: never in memory as a whole.

What a block holds follows from a seed and its number. Sizes are those of the data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lowmem.stores import RowWriter, write_group_attributes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

SEED = 5
CLASSES = ("lines", "checks", "rings")
# Numbers that are drawn at once.
_AT_ONCE = 2**20
_N_WORDS, _WORDS_A_TEXT, _TEXTS_AT_ONCE = 20_000, 40, 2_000
_N_PATTERNS = 48


def signals(path: Path, *, n: int, length: int) -> None:
    """Write ``n`` signals of white noise, float32."""
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (n, length))
    at_once = max(1, _AT_ONCE // length)
    for start in range(0, n, at_once):
        block = rows[start : start + at_once]
        block[:] = np.random.default_rng([SEED, start]).standard_normal(
            block.shape, np.float32
        )
    rows.flush()


def texts(path: Path, *, n: int) -> None:
    """Write ``n`` texts, one a line, of which some words are far more common than others.

    Each text has one of eight subjects, whose words are twice as common in it.
    """
    words = np.array(
        [f"word{number * 2_654_435_761:014x}" for number in range(_N_WORDS)]
    )
    with path.open("w", encoding="utf-8") as stream:
        for start in range(0, n, _TEXTS_AT_ONCE):
            size = min(_TEXTS_AT_ONCE, n - start)
            draw = np.random.default_rng([SEED, start])
            ranks = np.minimum(
                draw.zipf(1.3, (size, _WORDS_A_TEXT)) - 1, _N_WORDS // 8 - 1
            )
            subject = draw.integers(0, 8, (size, 1)) * (
                draw.random((size, _WORDS_A_TEXT)) < 0.5
            )
            for row in words[ranks * 8 + subject]:
                stream.write(" ".join(row) + "\n")


def images(store: Path, *, n: int, side: int) -> None:
    """Write a store of labelled images, as `ingest` makes one of a folder a class.

    Each is a sum of orthogonal waves, the later the weaker, with noise, and with a wave
    of its class. So all leading principal components have variances of their own.
    """
    write_group_attributes(store, {})
    chunk_rows = max(1, 4 * 2**20 // (side * side * 3))
    writer = RowWriter.open(
        store, "images", row_shape=(side, side, 3), dtype=np.uint8,
        chunk_rows=chunk_rows,
    )  # fmt: skip
    labels = RowWriter.open(
        store, "labels", row_shape=(), dtype=np.int32, chunk_rows=n,
        attributes={"class_names": list(CLASSES)},
    )  # fmt: skip
    numbers = []
    for rows, classes in _image_blocks(n, side, chunk_rows):
        writer.append(rows)
        numbers.append(classes)
    labels.append(np.concatenate(numbers))
    writer.flush()
    labels.flush()


def _image_blocks(
    n: int, side: int, at_once: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int32]]]:
    waves = _waves(side)
    scales = 24 * 0.9 ** np.arange(_N_PATTERNS)
    for start in range(0, n, at_once):
        size = min(at_once, n - start)
        draw = np.random.default_rng([SEED, start])
        classes = draw.integers(0, len(CLASSES), size).astype(np.int32)
        amounts = draw.standard_normal((size, _N_PATTERNS)) * scales
        own = np.eye(len(CLASSES))[classes] * draw.choice([-35, 35], (size, 1))
        values = np.concatenate([amounts, own], axis=1) @ waves
        values = values.reshape(size, side, side, 1) + 4 * draw.standard_normal(
            (size, side, side, 3), np.float32
        )
        yield np.clip(np.rint(128 + values), 0, 255).astype(np.uint8), classes


def _waves(side: int) -> NDArray[np.float64]:
    """Return slow waves, and then a fast one of each class, as rows of pixels."""
    x = (np.arange(side) + 0.5) * np.pi / side
    places = [(i, j) for i in range(7) for j in range(7) if i + j][:_N_PATTERNS]
    fast = [(side // 4, 0), (side // 4, side // 4), (side // 8, side // 3)]
    return np.stack(
        [np.outer(np.cos(i * x), np.cos(j * x)).ravel() for i, j in places + fast]
    )

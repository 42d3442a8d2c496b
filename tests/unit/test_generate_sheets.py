"""Sheets of images: everything in its place, words beside, size bounded."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from lowmem_jobs.generate.sheets import LARGEST_SIDE, Sheet, grid

GAP = 2


def pixels_of(sheet: Sheet) -> np.ndarray:
    with Image.open(io.BytesIO(sheet.png())) as picture:
        return np.asarray(picture)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_shows_every_image_unchanged_in_rows_of_the_same_length(channels):
    images = np.random.default_rng(1).integers(0, 256, (7, 5, 4, channels), np.uint8)
    shown = pixels_of(grid(images))
    assert shown.shape[:2] == (3 * (5 + GAP) + GAP, 3 * (4 + GAP) + GAP)
    for index, image in enumerate(images):
        row, column = divmod(index, 3)
        top, left = GAP + row * (5 + GAP), GAP + column * (4 + GAP)
        found = shown[top : top + 5, left : left + 4]
        assert np.array_equal(found.reshape(image.shape), image)
    # The places of an eighth and a ninth image are empty.
    assert (shown[-(5 + GAP) :, -2 * (4 + GAP) :] == 255).all()


def test_no_more_than_64_images_are_shown():
    images = np.zeros((100, 3, 3, 3), np.uint8)
    assert pixels_of(grid(images)).shape == (8 * 5 + GAP, 8 * 5 + GAP, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_words_stand_beside_the_images_and_never_over_them(channels):
    shape = (64, 64, channels)
    images = np.full((2, *shape), 127, np.uint8)
    labels, heads = ["a rather long label", "b"], ["first", "second", "third"]
    sheet = Sheet(shape, 2, 3, labels=labels, heads=heads)
    empty = pixels_of(sheet)
    for row in range(2):
        sheet.place_row(row, [images[0]] * 3)
    full = pixels_of(sheet)
    changed = full != empty
    # All that changed was white before, and is what was placed: no word is touched.
    assert (empty[changed] == 255).all()
    assert changed.sum() == 2 * 3 * 64 * 64 * channels
    flat = empty.reshape(*empty.shape[:2], -1)
    words = np.argwhere((flat < 128).all(axis=2))
    left_edge = full.shape[1] - 3 * (64 + GAP) - GAP
    beside, above = words[words[:, 1] < left_edge], words[words[:, 1] >= left_edge]
    assert len(beside) > 100
    assert len(above) > 50
    assert above[:, 0].max() < full.shape[0] - 2 * (64 + GAP)


def test_small_images_beside_words_are_enlarged_without_mixing_their_pixels():
    image = np.random.default_rng(2).integers(0, 256, (16, 8, 3), np.uint8)
    sheet = Sheet(image.shape, 1, 1, labels=["x"])
    sheet.place(0, 0, image)
    shown = pixels_of(sheet)[GAP:-GAP, -GAP - 32 : -GAP]
    assert np.array_equal(shown, image.repeat(4, axis=0).repeat(4, axis=1))


def test_however_large_the_images_the_sheet_is_bounded_and_keeps_their_form():
    image = np.zeros((1000, 2000, 3), np.uint8)
    image[:, 1000:] = 200
    sheet = Sheet(image.shape, 1, 1)
    sheet.place(0, 0, image)
    shown = pixels_of(sheet)[GAP:-GAP, GAP:-GAP]
    assert shown.shape == (LARGEST_SIDE // 2, LARGEST_SIDE, 3)
    assert (shown[:, :128] == 0).all()
    assert (shown[:, 128:] == 200).all()

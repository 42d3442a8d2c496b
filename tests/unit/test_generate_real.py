"""Which real images generated ones are compared with."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError
from lowmem.base.workspace import Workspace
from lowmem.stores.validation_split import split_rows, unit_hash
from lowmem_jobs.generate.real_images import choose_real_images

N, SHAPE = 2000, (2, 2, 3)


@pytest.fixture
def ctx(tmp_path):
    space = Workspace.at(tmp_path)
    group = zarr.open_group(space.images, mode="w")
    group.create_array("images", shape=(N, *SHAPE), dtype="uint8", chunks=(N, *SHAPE))
    space.model.mkdir()
    lines: list[str] = []
    return SimpleNamespace(
        workspace=space,
        options={"count": 8, "images": None},
        log=lines.append,
        lines=lines,
    )


def tell_of_training(ctx, text) -> None:
    (ctx.workspace.model / "training.json").write_text(text)


def split_of(ctx, share):
    return split_rows(ctx.workspace.images, n_rows=N, fraction=share)


@pytest.mark.parametrize("share", [0.05, 0.128, 0.1285, 0.5])
def test_only_images_that_training_held_out_are_compared(ctx, share):
    tell_of_training(ctx, f'{{"validation_split": {share}}}')
    chosen, split = choose_real_images(ctx, SHAPE), split_of(ctx, share)
    assert chosen.are_held_out
    assert set(chosen.rows) <= set(split.validation)
    assert len(chosen.rows) == pytest.approx(min(256, len(split.validation)), abs=40)
    assert np.array_equal(chosen.training_rows, split.training)
    assert (np.diff(chosen.rows) > 0).all()


def test_twice_as_many_are_compared_as_are_scored_of_a_method(ctx):
    tell_of_training(ctx, '{"validation_split": 0.6}')
    ctx.options = {"count": 300, "images": None}
    assert len(choose_real_images(ctx, SHAPE).rows) == pytest.approx(600, abs=60)


@pytest.mark.parametrize("text", [None, '{"validation_split": 0.0}'])
def test_where_none_is_known_to_be_held_out_this_is_said(ctx, text):
    if text:
        tell_of_training(ctx, text)
    chosen = choose_real_images(ctx, SHAPE)
    assert not chosen.are_held_out
    assert ("held out none" if text else "does not tell") in chosen.why_not
    # The smallest hashes: held-out ones in any case, as far as there are some.
    hashes = np.array([unit_hash(str(row)) for row in range(N)])
    assert hashes[chosen.rows].max() < np.sort(hashes)[len(chosen.rows)]
    assert len(chosen.training_rows) == N


def test_images_of_another_shape_are_not_compared(ctx):
    chosen = choose_real_images(ctx, (3, 3, 3))
    assert len(chosen.rows) == len(chosen.training_rows) == 0
    assert "(3, 3, 3)" in chosen.why_not
    assert "baselines are null" in ctx.lines[0]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"validation_split": "much"}'])
def test_an_account_of_the_training_that_cannot_be_read_is_named(ctx, text):
    tell_of_training(ctx, text)
    with pytest.raises(DataError, match=r"training\.json cannot be read"):
        choose_real_images(ctx, SHAPE)

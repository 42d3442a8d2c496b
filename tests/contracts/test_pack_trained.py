"""A model is trained from a packed table, and from the part of it that a split names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import zarr

import lowmem
from lowmem_jobs.pack.job import JOB
from tests.driver import drive

pytestmark = [pytest.mark.keras, pytest.mark.slow]
SETTINGS = {"block_kib": 64, "block_rows": 64}


def table():
    rng = np.random.default_rng(3)
    points = rng.normal(size=(200, 4))
    side = np.where(points.sum(axis=1) > 0, "right", "left")
    frame = pd.DataFrame(points, columns=list("abcd"))
    return frame.assign(side=side)


def test_fit_trains_from_a_packed_table_what_it_trains_from_arrays(tmp_path):
    import keras

    frame = table()
    frame.to_csv(tmp_path / "t.csv", index=False)
    options = {
        "source": [str(tmp_path / "t.csv")],
        "features": list("abcd"),
        "label": "side",
        "split": ["train=0.8", "test=0.2"],
    }
    drive(JOB, tmp_path, options, settings=SETTINGS)
    store = tmp_path / "table.zarr"
    rows = np.flatnonzero(zarr.open_array(store / "split", mode="r")[:] == 0)
    assert 130 < len(rows) < 190

    def new_model():
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [keras.Input((4,)), keras.layers.Dense(1, activation="sigmoid")]
        )
        model.compile("adam", "binary_crossentropy")
        return model

    def sequence():
        return lowmem.ZarrSequence(
            store, name="features", labels="labels", rows=rows, batch_size=16, seed=1
        )

    fitted, by_hand = new_model(), new_model()
    data = sequence()
    lowmem.fit(fitted, data, epochs=3, workspace=tmp_path / "fit", verbose=0)
    data.close()
    data = sequence()
    assert data.class_names == tuple(dict.fromkeys(frame["side"]))
    # The rows of each batch are looked for in the table, and trained on from there.
    points = frame[list("abcd")].to_numpy()
    codes = frame["side"].map(data.class_names.index).to_numpy()
    for epoch in range(3):
        data.go_to(epoch=epoch)
        seen = []
        for index in range(len(data)):
            x, y = data[index]
            found = [int(np.flatnonzero((points == one).all(axis=1))[0]) for one in x]
            np.testing.assert_array_equal(y, codes[found])
            by_hand.train_on_batch(points[found], codes[found])
            seen += found
        assert sorted(seen) == rows.tolist()
    data.close()
    for one, two in zip(fitted.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)

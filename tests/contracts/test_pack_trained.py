"""A model is trained from a packed table as docs/tables.md shows; TensorFlow's own records."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import zarr

import lowmem
from lowmem_jobs.pack.job import JOB
from tests.driver import drive
from tests.packed_tables import read_column, shown

pytestmark = [pytest.mark.keras, pytest.mark.slow]
SETTINGS = {"block_kib": 64, "block_rows": 64}


def trained_on(model, data, points, codes):
    """Train an epoch on the rows of the table that batches hold; return which these are."""
    seen = []
    for index in range(len(data)):
        x, y = data[index]
        found = [int(np.flatnonzero((points == one).all(axis=1))[0]) for one in x]
        np.testing.assert_array_equal(y, codes[found])
        model.train_on_batch(points[found], codes[found])
        seen += found
    return seen


def test_the_training_shown_is_that_of_the_rows_of_the_table(tmp_path, monkeypatch):
    import keras

    monkeypatch.chdir(tmp_path)
    points = np.random.default_rng(3).normal(size=(600, 2))
    bought = np.where(points.sum(axis=1) > 0, "yes", "no")
    frame = pd.DataFrame({"age": points[:, 0], "price": points[:, 1], "bought": bought})
    frame.to_csv("clicks.csv", index=False)
    options = {
        "source": ["clicks.csv"],
        "features": ["age", "price"],
        "label": "bought",
        "split": ["train=0.8", "test=0.2"],
    }
    drive(JOB, tmp_path / "lowmem-work", options, settings=SETTINGS)

    keras.utils.set_random_seed(1)
    names: dict = {}
    exec(shown("ZarrSequence"), names)  # noqa: S102 - as shown
    names["data"].close()
    keras.utils.set_random_seed(1)
    by_hand = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")]
    )
    by_hand.compile("adam", "binary_crossentropy")

    store = tmp_path / "lowmem-work" / "table.zarr"
    rows = np.flatnonzero(zarr.open_array(store / "split", mode="r")[:] == 0)
    # Four standard deviations around 480 are 39.
    assert abs(len(rows) - 480) < 40
    data = lowmem.ZarrSequence(
        store, name="features", labels="labels", rows=rows, batch_size=256, seed=1
    )
    assert data.class_names == tuple(dict.fromkeys(bought))
    codes = np.array([data.class_names.index(one) for one in bought])
    for epoch in range(3):
        data.go_to(epoch=epoch)
        assert sorted(trained_on(by_hand, data, points, codes)) == rows.tolist()
    data.close()
    fitted = names["model"].get_weights()
    for one, two in zip(fitted, by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_records_that_tensorflow_writes_are_read_without_it(tmp_path):
    tf = pytest.importorskip("tensorflow")
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in range(50):
            features = {
                "whole": tf.train.Feature(
                    int64_list=tf.train.Int64List(value=[row, -row])
                ),
                "real": tf.train.Feature(
                    float_list=tf.train.FloatList(value=[row / 7] * (row % 3))
                ),
                "text": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[f"é{row}".encode()])
                ),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    options = {"source": [str(path)], "types": ["text=str"]}
    drive(JOB, tmp_path, options, settings=SETTINGS)
    group = zarr.open_group(tmp_path / "table.zarr", mode="r")
    expected = [[row, -row] for row in range(50)]
    np.testing.assert_array_equal(group["whole"][:], expected)
    assert read_column(group, "text") == [f"é{row}" for row in range(50)]
    for row, found in enumerate(read_column(group, "real")):
        np.testing.assert_array_equal(found, np.full(row % 3, row / 7, np.float32))

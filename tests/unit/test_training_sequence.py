"""`lowmem.ZarrSequence`, as a Keras user takes it; and state in exact precision."""

from __future__ import annotations

import doctest
import io
import random
from contextlib import closing

import keras
import numcodecs
import numpy as np
import pytest
import zarr

import lowmem
from lowmem.base.errors import DataError, ModelError
from lowmem.stores import direct_rows
from lowmem.stores.epoch_order import epoch_order
from lowmem.stores.row_writer import RowWriter
from lowmem.training import backend, state
from lowmem.training import steps as training_steps
from lowmem.training.keras_setup import keras_session
from lowmem.training.steps import part_sizes

pytestmark = [
    pytest.mark.keras,
    pytest.mark.slow,
]

N_IMAGES = 11
# They look at TensorFlow's own deliveries, or into a step of its trainer.
of_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="Keras computes with another"
)


@pytest.fixture
def store(tmp_path):
    """Return a store in which each image holds its own number."""
    writer = RowWriter.open(
        tmp_path / "s.zarr", "images", row_shape=(1, 2, 1), dtype=np.uint8, chunk_rows=4
    )
    for start in range(0, N_IMAGES, 4):
        numbers = np.arange(start, min(start + 4, N_IMAGES), dtype=np.uint8)
        writer.append(numbers.reshape(-1, 1, 1, 1).repeat(2, axis=2))
    writer.flush()
    return tmp_path / "s.zarr"


def numbers(sequence, count=None) -> list[int]:
    batches = (sequence[i] for i in range(len(sequence) if count is None else count))
    return [int(row[0, 0, 0]) for x, y in batches for row in x if x is y]


class Recorder(keras.Model):
    """Notes which samples it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.compile(optimizer="sgd", run_eagerly=True)

    def train_step(self, data):
        self.seen += [int(value) for value in np.asarray(data[0])[:, 0, 0, 0]]
        return {"loss": 0.0}


@of_tensorflow
def test_fit_sees_every_sample_once_an_epoch_in_the_order_of_seed_and_epoch(store):
    data = lowmem.ZarrSequence(store, batch_size=4, seed=1)
    model = Recorder()
    model.fit(data, epochs=3, shuffle=False, verbose=0)
    epochs = np.reshape(model.seen, (3, N_IMAGES))
    for epoch, seen in enumerate(epochs):
        assert sorted(seen) == list(range(N_IMAGES))
        fresh = lowmem.ZarrSequence(store, batch_size=4, seed=1, epoch=epoch)
        assert numbers(fresh) == seen.tolist()
    assert len({tuple(seen) for seen in epochs}) == 3


@of_tensorflow
@pytest.mark.parametrize("given", [{}, {"workers": 3}, {"steps_per_epoch": 3}])
def test_whatever_fit_shuffles_an_epoch_is_that_of_seed_and_epoch(store, given):
    """By default Keras shuffles the batches of a data set once more."""
    workers = given.get("workers", 1)
    data = lowmem.ZarrSequence(store, batch_size=4, seed=1, workers=workers)
    steps = given.get("steps_per_epoch")
    model = Recorder()
    random.seed(0)
    model.fit(data, epochs=3, steps_per_epoch=steps, verbose=0)
    epochs = np.reshape(model.seen[-3 * N_IMAGES :], (3, N_IMAGES))
    for epoch, seen in enumerate(epochs.tolist()):
        fresh = lowmem.ZarrSequence(store, batch_size=4, seed=1, epoch=epoch)
        assert seen == numbers(fresh)


@of_tensorflow
def test_the_rest_of_an_epoch_comes_once_and_a_further_one_is_refused_in_its_fit(store):
    data = lowmem.ZarrSequence(store, batch_size=2, seed=1, start_batch=2)
    whole = numbers(lowmem.ZarrSequence(store, batch_size=2, seed=1))
    model = Recorder()
    random.seed(0)
    with pytest.raises(ValueError, match="epochs=1"):
        model.fit(data, epochs=2, verbose=0)
    assert model.seen == whole[4:]
    model.fit(data, epochs=1, verbose=0)
    following = lowmem.ZarrSequence(store, batch_size=2, seed=1, epoch=1)
    assert model.seen == whole[4:] + numbers(following)


@of_tensorflow
def test_an_epoch_that_was_left_begins_anew_and_a_number_is_its_batch_outside(store):
    data = lowmem.ZarrSequence(store, batch_size=2, seed=1)
    whole = numbers(lowmem.ZarrSequence(store, batch_size=2, seed=1))

    class Leaving(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, **_):
            if batch == 1:
                raise KeyboardInterrupt

    model = Recorder()
    with pytest.raises(KeyboardInterrupt):
        model.fit(data, epochs=1, verbose=0, callbacks=[Leaving()])
    model.seen.clear()
    model.fit(data, epochs=1, verbose=0)
    assert model.seen == whole
    assert [int(row[0, 0, 0]) for row in data[3][0]] == numbers(
        lowmem.ZarrSequence(store, batch_size=2, seed=1, epoch=1)
    )[6:8]


@of_tensorflow
def test_a_tf_dataset_gives_the_same_batches_from_any_place_on(store):
    epochs = [
        numbers(lowmem.ZarrSequence(store, batch_size=4, seed=1, epoch=epoch))
        for epoch in range(3)
    ]
    data = lowmem.ZarrSequence(store, batch_size=4, seed=1, start_batch=1)
    # All tensors are kept: each must stay what it was, though buffers are used again.
    kept = list(data.tf_dataset(epochs=3))
    seen = [int(row[0, 0, 0]) for x, _ in kept for row in x.numpy()]
    assert seen == [number for epoch in epochs for number in epoch][4:]
    assert all(np.array_equal(x, y) for x, y in kept)
    alone = lowmem.ZarrSequence(store, batch_size=4, seed=1, is_autoencoding=False)
    model = Recorder()
    model.fit(
        alone.tf_dataset(epochs=2).map(lambda x: (x, x)),
        epochs=2, steps_per_epoch=len(alone), shuffle=False, verbose=0,
    )  # fmt: skip
    assert model.seen == epochs[0] + epochs[1]


@of_tensorflow
def test_batches_reach_tensorflow_without_being_copied(store):
    data = lowmem.ZarrSequence(store, batch_size=4, seed=1)
    read, batches = data._read, []

    def noting(epoch: int, batch: int) -> np.ndarray:
        batches.append(read(epoch, batch))
        return batches[-1]

    data._read = noting
    tensors = [x for x, _ in data.tf_dataset(epochs=1)]
    for number, batch in enumerate(batches):
        batch[...] = 100 + number
    assert [int(x.numpy().max()) for x in tensors] == [100, 101, 102]


@of_tensorflow
@pytest.mark.parametrize(("memory_bytes", "depth"), [(None, 2), (0, 1)])
def test_tensorflow_reads_no_further_ahead_than_the_memory_holds(
    store, monkeypatch, memory_bytes, depth
):
    made = []
    monkeypatch.setattr(
        backend, "tensorflow_dataset", lambda *_, **how: made.append(how["queue_depth"])
    )
    lowmem.ZarrSequence(store, memory_bytes=memory_bytes).tf_dataset(epochs=1)
    assert made == [depth]


def test_sequences_of_other_rows_share_files_and_keep_their_own_order(store):
    data = lowmem.ZarrSequence(store, batch_size=4, seed=1, rows=range(8))
    held_out = data.of_rows([10, 8, 9])
    whole = numbers(data)
    assert numbers(held_out) == [10, 8, 9]
    assert numbers(data) == whole
    assert sorted(whole) == list(range(8))
    assert len(held_out) == 1


def shifted(row, rng):
    """Return the number of an image, and a whole number drawn for it."""
    return np.array([row[0, 0, 0], rng.integers(2**30)], np.float64)


def samples(batches) -> dict[int, int]:
    """Return what was drawn for each image of an epoch, by its number."""
    return {int(number): int(drawn) for x, _ in batches for number, drawn in x}


def test_what_a_transform_draws_follows_from_seed_epoch_and_row_alone(store):
    """Batches, order, what was asked before and where it began change nothing."""
    epochs = []
    for size, shuffled in ((4, True), (3, False), (11, True)):
        data = lowmem.ZarrSequence(
            store, batch_size=size, seed=5, is_shuffled=shuffled, transform=shifted
        )
        first = samples(data[i] for i in range(len(data)))
        data.go_to(epoch=1)
        epochs.append((first, samples(data[i] for i in range(len(data)))))
    assert epochs[0] == epochs[1] == epochs[2]
    first, second = epochs[0]
    assert len({*first.values(), *second.values()}) == 2 * N_IMAGES
    resumed = lowmem.ZarrSequence(
        store, batch_size=4, seed=5, epoch=1, start_batch=2, transform=shifted
    )
    rest = samples(resumed[i] for i in range(len(resumed)))
    assert rest.items() <= second.items()
    assert len(rest) == 3
    # As anybody may draw it: Philox with the seed and the epoch as its key.
    for number, drawn in second.items():
        key, counter = np.array([5, 2**63 + 1], np.uint64), [0, 0, number, 0]
        alone = np.random.Generator(np.random.Philox(key=key, counter=counter))
        assert alone.integers(2**30) == drawn
    other = lowmem.ZarrSequence(store, batch_size=11, seed=6, transform=shifted)
    assert samples([other[0]]) != first


def test_rows_that_are_held_out_are_as_they_are_stored_unless_they_are_to_be_transformed(
    store,
):
    data = lowmem.ZarrSequence(store, batch_size=4, seed=5, transform=shifted)
    assert numbers(data.of_rows([10, 8, 9])) == [10, 8, 9]
    again = data.of_rows([10, 8, 9], is_transformed=True)
    assert samples([again[0]]).keys() == {8, 9, 10}
    assert data[0][0].shape == (4, 2)


@of_tensorflow
def test_tensorflow_gets_what_a_transform_makes(store):
    data = lowmem.ZarrSequence(
        store, batch_size=4, seed=5, transform=shifted, is_autoencoding=False
    )
    expected = [data.batch(i) for i in range(len(data))]
    found = list(data.tf_dataset(epochs=1))
    for batch, made in zip(found, expected, strict=True):
        np.testing.assert_array_equal(batch.numpy(), made)


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (lambda row, _: row[: 1 + row[0, 0, 0] % 2, : row[0, 0, 0] % 2], "shape"),
        (lambda row, _: row / 2 if row[0, 0, 0] == 3 else row, "float64 of shape"),
        (lambda row, _: None if row[0, 0, 0] == 3 else row, "a NoneType of row 3"),
        (
            lambda row, _: row.tolist(),
            "a NumPy array of numbers for each row, got list",
        ),
        (lambda row, _: row.astype(str), "got <U"),
    ],
)
def test_a_transform_whose_results_depend_on_their_neighbours_is_refused(
    store, transform, words
):
    def first():
        data = lowmem.ZarrSequence(store, batch_size=11, transform=transform)
        with closing(data):
            data.batch(0)

    with pytest.raises(ValueError, match=words):
        first()


@of_tensorflow
@pytest.mark.parametrize("codec", ["raw", "zlib"])
@pytest.mark.parametrize("dtype", [">f4", ">i4", ">u2", "<f8"])
def test_any_byte_order_reaches_every_delivery_as_the_same_numbers(
    tmp_path, dtype, codec
):
    values = np.arange(28).reshape(7, 4) - (3 if dtype[1] != "u" else 0)
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(7, 4), chunks=(2, 4), dtype=dtype, zarr_format=2,
        compressors=None if codec == "raw" else numcodecs.Zlib(),
    )  # fmt: skip
    array[...] = values
    data = lowmem.ZarrSequence(
        tmp_path / "a.zarr", name=None, batch_size=3, is_shuffled=False
    )
    assert data[0][0].dtype.isnative
    np.testing.assert_array_equal(
        np.concatenate([data[index][0] for index in range(3)]), values
    )
    tensors = [x.numpy() for x, _ in data.tf_dataset(epochs=1)]
    np.testing.assert_array_equal(np.concatenate(tensors), values)
    data.close()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"rows": [0, N_IMAGES]}, IndexError, "0 to 10; 1 do not, such as 11"),
        ({"rows": [-1]}, IndexError, "such as -1"),
        ({"rows": [True, False]}, ValueError, "row numbers"),
        ({"rows": [0.5]}, ValueError, "row numbers"),
        ({"batch_size": 0}, ValueError, "batch_size must be 1"),
        ({"run_length": 0}, ValueError, "run_length must be 1"),
        ({"epoch": -1}, ValueError, "epoch must be 0"),
        ({"start_batch": 99}, ValueError, "at most 3"),
    ],
)
def test_arguments_out_of_range_are_refused(store, arguments, error, words):
    with pytest.raises(error, match=words):
        lowmem.ZarrSequence(store, **{"batch_size": 4, **arguments})


def test_an_address_is_not_taken_for_a_folder():
    with pytest.raises(ValueError, match="local folder, got s3://a/b"):
        lowmem.ZarrSequence("s3://a/b")


def test_rows_of_another_sequence_are_checked_against_the_store(store):
    data = lowmem.ZarrSequence(store, batch_size=4, rows=[1, 2])
    assert len(data.of_rows(range(N_IMAGES))) == 3
    with pytest.raises(IndexError, match="such as 11"):
        data.of_rows([N_IMAGES])


@of_tensorflow
def test_a_tf_dataset_of_epochs_that_are_past_is_refused(store):
    data = lowmem.ZarrSequence(store, batch_size=4, epoch=2)
    with pytest.raises(ValueError, match="above 2"):
        data.tf_dataset(epochs=2)


def test_runs_are_a_choice_of_the_recipe(store):
    data = lowmem.ZarrSequence(store, batch_size=4, seed=1, run_length=3)
    order = epoch_order(n_rows=N_IMAGES, seed=1, epoch=0, run_length=3)
    assert numbers(data) == order.tolist()


def test_damage_found_beside_the_reading_ends_it(store, monkeypatch):
    monkeypatch.setattr(direct_rows, "_AT_ONCE_BYTES", 0)
    chunk = store / "images" / "c.1.0.0.0"
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    data = lowmem.ZarrSequence(store, batch_size=4, is_shuffled=False)
    with pytest.raises(DataError, match="samples 4 to 7"):
        data.verify()
    with pytest.raises(DataError, match="samples 4 to 7"):
        data[0]


def test_a_fit_that_goes_on_in_mid_epoch_equals_the_unbroken_one(store):
    def fitted(*sequences):
        keras.utils.set_random_seed(1)
        layers = [keras.Input((1, 2, 1)), keras.layers.Flatten()]
        model = keras.Sequential([*layers, keras.layers.Dense(2)])
        model.add(keras.layers.Reshape((1, 2, 1)))
        model.compile(keras.optimizers.Adam(0.01), "mse")
        for data in sequences:
            model.fit(data, epochs=1, shuffle=False, verbose=0)
        return [np.asarray(value) for value in model.get_weights()]

    def part(**where):
        return lowmem.ZarrSequence(store, batch_size=4, seed=1, **where)

    # One that knows where its first epoch was left, in another process maybe.
    first = part(rows=part()._rows_at(0, 0, 4), is_shuffled=False)
    cut = fitted(first, part(start_batch=1), part(epoch=1))
    for one, two in zip(fitted(part(), part(epoch=1)), cut, strict=True):
        np.testing.assert_array_equal(one, two)


@of_tensorflow
def test_it_begins_in_mid_epoch_and_goes_on_with_whole_ones(store):
    whole = numbers(lowmem.ZarrSequence(store, batch_size=4, seed=1))
    rest = lowmem.ZarrSequence(store, batch_size=4, seed=1, start_batch=2)
    assert len(rest) == 1
    assert numbers(rest) == whole[8:]
    model = Recorder()
    for _ in range(2):
        model.fit(rest, epochs=1, shuffle=False, verbose=0)
    following = lowmem.ZarrSequence(store, batch_size=4, seed=1, epoch=1)
    assert model.seen == whole[8:] + numbers(following)


def test_rows_may_be_chosen_left_in_order_and_delivered_alone(store):
    data = lowmem.ZarrSequence(
        store, batch_size=2, rows=[7, 3, 5], is_shuffled=False, is_autoencoding=False
    )
    batch = data[0]
    assert batch.dtype == np.uint8
    assert [int(row[0, 0, 0]) for row in batch] == [7, 3]
    assert len(data[1]) == 1
    data.close()


def test_half_precision_survives_a_file_bit_for_bit():
    values = np.random.default_rng(0).standard_normal((3, 4))
    for dtype in ("bfloat16", "float16", "float32"):
        with keras_session(seed=1):
            variable = keras.Variable(values, dtype=dtype)
            before = state.value_of(variable)
            file = io.BytesIO()
            np.save(file, state.storable(before), allow_pickle=False)
            file.seek(0)
            after = state.stored_as(np.load(file, allow_pickle=False), variable)
        assert after.dtype == before.dtype
        assert after.tobytes() == before.tobytes()


def test_another_model_than_the_one_saved_is_refused():
    def model(width: int, name: str) -> keras.Model:
        inputs = keras.Input((2,))
        return keras.Model(inputs, keras.layers.Dense(width, name=name)(inputs))

    with keras_session(seed=1):
        first = model(3, "a")
        first.compile("sgd", "mse")
        saved = dict(state.capture(first))
        for other in (model(3, "b"), model(4, "a")):
            other.compile("sgd", "mse")
            with pytest.raises(ModelError, match="differs"):
                state.restore(other, saved)


@pytest.mark.parametrize(("n_rows", "steps"), [(10, 4), (2, 3), (8, 8), (1, 1)])
def test_the_parts_of_a_batch_make_it_up(n_rows, steps):
    sizes = part_sizes(n_rows, steps)
    assert len(sizes) == steps
    assert sum(sizes) == n_rows
    assert max(sizes) - min(sizes) <= 1


# --- labels ------------------------------------------------------------------------


@pytest.fixture
def labelled(store):
    """The label of an image is a hundred times its number, and some more."""
    writer = RowWriter.open(
        store, "labels", row_shape=(), dtype="int32", chunk_rows=N_IMAGES,
        attributes={"class_names": ["cat", "dog"]},
    )  # fmt: skip
    writer.append(np.arange(N_IMAGES, dtype=np.int32) * 100 + 7)
    writer.flush()
    return store


@of_tensorflow
def test_each_image_comes_with_its_label_in_any_order_and_delivery(labelled):
    given = {"batch_size": 4, "seed": 1, "labels": "labels"}
    plain = lowmem.ZarrSequence(labelled, batch_size=4, seed=1)
    for epoch in range(2):
        data = lowmem.ZarrSequence(labelled, epoch=epoch, **given)
        plain.go_to(epoch=epoch)
        order = numbers(plain)
        pairs = [(x, y) for x, y in (data[i] for i in range(len(data)))]
        assert [int(row[0, 0, 0]) for x, _ in pairs for row in x] == order
        assert [int(y) for _, ys in pairs for y in ys] == [100 * n + 7 for n in order]
        assert data.class_names == ("cat", "dog")
    chosen = lowmem.ZarrSequence(
        labelled, rows=[9, 2, 5], is_shuffled=False, start_batch=1, **given | {"batch_size": 2}
    )  # fmt: skip
    [(x, y)] = [chosen[0]]
    assert (x[0, 0, 0, 0], y.tolist()) == (5, [507])
    assert chosen.of_rows([3])[0][1].tolist() == [307]
    data = lowmem.ZarrSequence(labelled, start_batch=2, **given)
    for x, y in data.tf_dataset(epochs=3):
        assert np.array_equal(x.numpy()[:, 0, 0, 0].astype(int) * 100 + 7, y.numpy())
        assert y.shape.rank == 1


@of_tensorflow
def test_a_classifier_learns_from_labels(labelled):
    writer = RowWriter.open(
        labelled, "parity", row_shape=(), dtype="int32", chunk_rows=N_IMAGES
    )
    writer.append(np.arange(N_IMAGES, dtype=np.int32) > 5)
    writer.flush()
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.layers.Rescaling(1 / 10), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(0.1),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    data = lowmem.ZarrSequence(labelled, batch_size=4, seed=1, labels="parity")
    model.fit(
        data.tf_dataset(epochs=60),
        epochs=60,
        steps_per_epoch=len(data),
        shuffle=False,
        verbose=0,
    )
    data.go_to(epoch=60)
    history = model.fit(data, epochs=2, shuffle=False, verbose=0).history
    assert history["accuracy"][-1] > 0.9


def test_labels_that_are_not_one_number_a_row_are_refused(labelled):
    short = RowWriter.open(labelled, "few", row_shape=(), dtype="int32", chunk_rows=3)
    short.append(np.arange(3, dtype=np.int32))
    for name, words in (("few", "of shape"), ("images", "uint8"), ("none", "missing")):
        with pytest.raises(DataError, match=words):
            lowmem.ZarrSequence(labelled, labels=name)


def test_the_examples_in_the_docstrings_of_steps_hold():
    ended = doctest.testmod(training_steps)
    assert ended.attempted
    assert not ended.failed

"""What a training could not go on from is refused by name, before the first step."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest

import lowmem
from lowmem.base.errors import UsageError
from lowmem.base.errors_fit import InexactFitError
from lowmem.fitting.model_description import described
from lowmem.training.backend import make_repeatable
from tests.fits import (
    BATCH,
    CROSS_ENTROPY,
    LABELS,
    STEPS,
    Cut,
    CutError,
    X,
    classifier,
)

pytestmark = [pytest.mark.keras, pytest.mark.slow]


@pytest.fixture(scope="module")
def model():
    make_repeatable()
    keras.utils.set_random_seed(1)
    return classifier()


@pytest.fixture
def fit(model, tmp_path):
    """Fit one epoch of what is given; nothing but a refusal is expected of it."""

    def call(x=X, y=LABELS, **words):
        return lowmem.fit(model, x, y, workspace=tmp_path, verbose=0, **words)

    return call


class Data(keras.utils.PyDataset):
    """Batches by index; whether they say so is another's to choose."""

    def __init__(self, **said):
        super().__init__()
        vars(self).update(said)
        self.asked = 0

    def __len__(self):
        return len(X) // BATCH

    def __getitem__(self, index):
        rows = slice(index * BATCH, (index + 1) * BATCH)
        return X[rows], LABELS[rows]


class Fickle(Data):
    """Says that its batches are functions of their index, and draws them."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        self.asked += 1
        return x + self.asked, y


class Endless(Data):
    num_batches = None


class Open(keras.callbacks.Callback):
    """Holds what cannot be kept."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()


class Late(keras.callbacks.Callback):
    """Begins to hold it when the training begins."""

    def on_train_begin(self, logs=None):  # noqa: ARG002 - as Keras calls it
        self.lock = threading.Lock()


def numbers():
    yield X, LABELS


REFUSED = {
    "a generator": (lambda: {"x": numbers(), "y": None}, "x is a builtins.generator"),
    "lists": (lambda: {"x": X.tolist()}, "x is a builtins.float"),
    "texts": (lambda: {"y": LABELS.astype(str)}, "y holds <U"),
    "objects": (lambda: {"y": LABELS.astype(object)}, "y holds object"),
    "another length": (lambda: {"y": LABELS[:-1]}, "have arrays of 21, 22 rows"),
    "no rows": (lambda: {"x": X[:0], "y": LABELS[:0]}, "have arrays of 0 rows"),
    "weights alone": (
        lambda: {"y": None, "sample_weight": LABELS},
        "sample_weight is given without y",
    ),
    "a data set that says nothing": (
        lambda: {"x": Data(), "y": None},
        "x, a Data, does not say that its batches are functions",
    ),
    "one that says so and is not": (
        lambda: {"x": Fickle(is_function_of_index=True), "y": None},
        "Fickle says is_function_of_index and gave another batch 0",
    ),
    "one with targets beside it": (
        lambda: {"x": Data(is_function_of_index=True)},
        "x is a data set, and targets or weights are given beside it",
    ),
    "one without an end": (
        lambda: {"x": Endless(is_function_of_index=True), "y": None},
        "x has no end, expected steps_per_epoch",
    ),
    "validation by a generator": (
        lambda: {"validation_data": numbers()},
        "validation_data is a builtins.generator",
    ),
    "validation by a data set that says nothing": (
        lambda: {"validation_data": Data()},
        "validation_data, a Data, does not say",
    ),
    "an order of Keras'": (lambda: {"shuffle": "batch"}, "shuffle='batch' draws"),
    "a split of a data set": (
        lambda: {
            "x": Data(is_function_of_index=True),
            "y": None,
            "validation_split": 0.5,
        },
        "validation_split is given with data that are no arrays",
    ),
    "a split that leaves nothing": (
        lambda: {"validation_split": 0.99},
        "validation_split=0.99 leaves one side of 22 rows empty",
    ),
    "another that restores": (
        lambda: {"callbacks": [keras.callbacks.BackupAndRestore("backup")]},
        r"callbacks\[0\], a BackupAndRestore, puts back a state of its own",
    ),
    "itself": (
        lambda: {"callbacks": [lowmem.ExactResume("elsewhere")]},
        r"callbacks\[0\], a ExactResume, puts back a state",
    ),
    "a list of callbacks of Keras'": (
        lambda: {"callbacks": keras.callbacks.CallbackList([])},
        "callbacks is a CallbackList",
    ),
    "a callback with a lock": (
        lambda: {"callbacks": [keras.callbacks.TerminateOnNaN(), Open()]},
        r"callbacks\[1\], a Open, has a state that is not kept: state\['lock'\]",
    ),
    "a callback with a lock later": (
        lambda: {"callbacks": [Late()]},
        r"callbacks\[0\], a Late, has a state that is not kept: state\['lock'\]",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_the_model_is_untouched(name, fit, model):
    make, expected = REFUSED[name]
    before = [one.copy() for one in model.get_weights()]
    with pytest.raises(InexactFitError, match=expected):
        fit(**make())
    assert all(map(np.array_equal, before, model.get_weights()))
    assert model.optimizer.iterations.numpy() == 0 if model.optimizer.built else True


def test_a_store_is_refused_as_an_array_and_the_reader_of_stores_is_named(fit):
    zarr = pytest.importorskip("zarr")
    with pytest.raises(InexactFitError, match=r"x is a zarr\..*lowmem\.ZarrSequence"):
        fit(zarr.array(X))


def test_an_optimiser_beside_the_models_own_has_to_be_built(tmp_path):
    model = classifier()
    model.other = keras.optimizers.Adam(name="beside")
    with pytest.raises(
        InexactFitError, match=r"the optimiser beside of .* has no vari"
    ):
        lowmem.fit(model, X, LABELS, workspace=tmp_path, verbose=0)


def test_given_to_fit_by_itself_it_says_what_to_give(model, tmp_path):
    resume = lowmem.ExactResume(tmp_path / "ckpt")
    with pytest.raises(InexactFitError, match=r"was given to fit by itself.*fit_argum"):
        model.fit(X, LABELS, verbose=0, callbacks=[resume])


@pytest.mark.parametrize("every_steps", [0, 1.5, True])
def test_a_number_of_steps_is_a_positive_whole_number(every_steps, tmp_path):
    with pytest.raises(UsageError, match="every_steps is"):
        lowmem.ExactResume(tmp_path, every_steps=every_steps)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", -3),
        ("batch_size", 2.5),
        ("batch_size", 0),
        ("steps_per_epoch", 0),
        ("validation_batch_size", "4"),
        ("validation_steps", True),
        ("epochs", -1),
        ("epochs", None),
        ("initial_epoch", -1),
    ],
)
def test_a_number_that_is_none_is_named(name, value, fit):
    with pytest.raises(UsageError, match=f"{name} is .*, expected a whole number"):
        fit(**{name: value})


def test_a_training_that_was_cut_within_an_epoch_does_not_end_before_it(fit):
    keras.utils.set_random_seed(1)
    given = {"batch_size": BATCH, "every_steps": 1}
    with pytest.raises(CutError):
        fit(**given, epochs=3, callbacks=[Cut(STEPS + 3)])
    with pytest.raises(InexactFitError, match="epochs=1 is less than the 2 that have"):
        fit(**given, epochs=1, callbacks=[Cut(None)])


def test_numbers_of_numpy_are_numbers(fit):
    fit(epochs=np.int64(1), batch_size=np.int32(8), steps_per_epoch=np.int64(2))


def test_a_mirror_is_a_folder(tmp_path):
    with pytest.raises(UsageError, match="expected a folder"):
        lowmem.ExactResume(tmp_path, mirror="gs://bucket/fit")


OTHERS = {
    "inputs": ({"x": X + 1}, r"data\.rows_sha256 of the training"),
    # One row, wherever it lies.
    **{
        f"target {row}": (
            {"y": np.where(np.arange(len(X)) == row, 9, LABELS)},
            r"data\.rows_sha256 of the training",
        )
        for row in (0, 13, len(X) - 1)
    },
    "seed": ({"seed": 9}, "order of the training in .* is 9, expected 0"),
    "batch": ({"batch_size": 5}, "batch_size of the training"),
    "order": ({"shuffle": False}, "order of the training in .* is None, expected 0"),
    "steps": ({"steps_per_epoch": 2}, "steps_per_epoch of the training"),
    "weights": (
        {"class_weight": {0: 2.0, 1: 1.0, 2: 1.0}},
        "class_weight of the training",
    ),
    "callbacks": (
        {"callbacks": [keras.callbacks.TerminateOnNaN()]},
        "callbacks of the training",
    ),
    "no validation": (
        {"validation_data": None},
        "validation of the training in .* is None",
    ),
    "longer validation": (
        {"validation_data": (X[:5], LABELS[:5])},
        r"validation\.data\.n_rows of the training in .* is 5, expected 4",
    ),
    "other validation": (
        {"validation_data": (X[:4], LABELS[1:5])},
        r"validation\.data\.rows_sha256 of the training",
    ),
    "rarer validation": (
        {"validation_freq": 2},
        "validation_freq of the training in .* is 2, expected 1",
    ),
    "fewer epochs": ({"epochs": 1}, "epochs=1 is less than the 2 that have begun"),
    "later epochs": (
        {"epochs": 9, "initial_epoch": 3},
        "initial_epoch=3 leaves out epochs",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_training_is_refused_in_the_same_folder(name, fit, model):
    words, expected = OTHERS[name]
    keras.utils.set_random_seed(1)
    given = {
        "x": X,
        "y": LABELS,
        "batch_size": BATCH,
        "epochs": 2,
        "validation_data": (X[:4], LABELS[:4]),
    }
    fit(**given)
    before = [one.copy() for one in model.get_weights()]
    with pytest.raises(InexactFitError, match=expected):
        fit(**{**given, **words})
    assert all(map(np.array_equal, before, model.get_weights()))


def _compiled(model, loss=CROSS_ENTROPY, **how):
    model.compile(loss=loss, **{"optimizer": "adam", "metrics": ["accuracy"], **how})


def _set(index, name, value):
    return lambda model: setattr(model.layers[index], name, value)


MODELS = {
    "activation": (
        _set(1, "activation", keras.activations.tanh),
        r"layers\.\d\.activation of the training in .* is 'tanh', expected 'relu'",
    ),
    "dropout": (
        _set(3, "rate", 0.9),
        r"layers\.\d\.rate of .* is 0\.9, expected 0\.3",
    ),
    "loss": (
        lambda model: _compiled(
            model, keras.losses.SparseCategoricalCrossentropy(from_logits=False)
        ),
        r"compiled\.loss\.config\.from_logits of .* is False, expected True",
    ),
    "rate": (
        lambda model: _compiled(model, optimizer=keras.optimizers.Adam(0.1)),
        r"learning_rate of .* is 0\.1\d*, expected 0\.001",
    ),
    "schedule": (
        lambda model: _compiled(
            model,
            optimizer=keras.optimizers.Adam(
                keras.optimizers.schedules.ExponentialDecay(1e-3, 9, 0.5)
            ),
        ),
        r"compiled\.optimizer\.config\.learning_rate of .*, expected None",
    ),
    "clipping": (
        lambda model: _compiled(model, optimizer=keras.optimizers.Adam(clipnorm=1.0)),
        r"clipnorm of .* is 1\.0, expected None",
    ),
    "metrics": (
        lambda model: _compiled(model, metrics=[]),
        r"compiled\.metrics of .* is \[\], expected \['accuracy'\]",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_other_settings_is_refused_and_they_are_named(name, tmp_path):
    def fit(change, **words):
        keras.utils.set_random_seed(1)
        made = classifier()
        change(made)
        before = [one.copy() for one in made.get_weights()]
        words = {"workspace": tmp_path, "verbose": 0, "batch_size": BATCH, **words}
        try:
            lowmem.fit(made, X, LABELS, **words)
        finally:
            is_same = all(map(np.array_equal, before, made.get_weights()))
        return is_same

    change, expected = MODELS[name]
    assert not fit(lambda _: None)
    with pytest.raises(InexactFitError, match=expected):
        fit(change, epochs=2)


class _Telling(keras.layers.Layer):
    def __init__(self, told):
        super().__init__()
        self.told = told

    def get_config(self):
        return {**super().get_config(), "told": self.told}

    def call(self, x):
        return x


@pytest.mark.parametrize("form", [list, tuple, np.array])
@pytest.mark.parametrize("length", [3, 2000])
def test_a_setting_of_many_entries_is_another_where_one_of_them_is(form, length):
    def told(changed):
        entries = [float(n) for n in range(length)]
        entries[-2] += changed
        made = keras.Sequential([keras.Input((2,)), _Telling(form(entries))])
        made.compile("sgd", "mse")
        return described(made)

    assert told(0.0) == told(0.0)
    assert told(0.0) != told(0.5)


def _subclass(rate):
    class Own(keras.Model):
        def __init__(self, rate):
            super().__init__()
            self.first, self.drop = keras.layers.Dense(4), keras.layers.Dropout(rate)
            self.last = keras.layers.Dense(3)

        def call(self, x, training=None):
            return self.last(self.drop(self.first(x), training=training))

    return Own(rate)


MADE = {
    # Keras counts layers and draws seeds anew: a second model of one code has others.
    "augmented": lambda: keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Reshape((3, 2, 1)),
            keras.layers.RandomContrast(0.2),
            keras.layers.Flatten(),
            keras.layers.Lambda(lambda x: x * 2),
            keras.layers.Dense(3, kernel_initializer="he_normal"),
        ]
    ),
    "built late": lambda: keras.Sequential(
        [keras.layers.Dense(4, activation=lambda x: x * 2), keras.layers.Dense(3)]
    ),
    "of a class": lambda: _subclass(0.2),
}


@pytest.mark.parametrize("name", MADE)
def test_the_same_model_made_again_goes_on_whatever_keras_names_it(name, tmp_path):
    def fit(epochs, after=None):
        made = MADE[name]()
        _compiled(made, lambda y, p: 2 * CROSS_ENTROPY(y, p))
        slower = keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 / (1 + epoch))
        words = {"workspace": tmp_path, "verbose": 0, "every_steps": 1}
        cut = [slower, Cut(after)]
        for n_epochs in epochs:
            lowmem.fit(made, X, LABELS, epochs=n_epochs, callbacks=cut, **words)

    with pytest.raises(CutError):
        fit([2], after=2)
    # The second of them with the model that the first has trained.
    fit([2, 3])

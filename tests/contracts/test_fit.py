"""`lowmem.fit` is Keras' `fit`, and equal to itself wherever it was cut."""

from __future__ import annotations

import doctest
import os
import signal
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec

import keras
import numpy as np
import pytest
import zarr

import lowmem
from lowmem.base.errors_fit import FitStoppedError
from lowmem.fitting import fit_state
from lowmem.training.backend import make_repeatable
from tests.fits import (
    BATCH,
    EPOCHS,
    KINDS,
    LABELS,
    SEED,
    STEPS,
    Cut,
    CutError,
    Kind,
    X,
    by_keras,
    by_lowmem,
    classifier,
)

pytestmark = [pytest.mark.keras, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def repeatable():
    """Plain Keras is to be so too: else it is not even equal to itself."""
    make_repeatable()
    yield
    keras.utils.clear_session()


@pytest.mark.parametrize("name", KINDS)
def test_a_training_cut_twice_is_to_the_bit_what_fit_makes_of_the_same_order(
    name, tmp_path
):
    """The first cut lies in the first epoch, the second in a later one."""
    kind = KINDS[name]
    if name == "several at a time" and keras.backend.backend() == "torch":
        pytest.skip("Keras takes one step at a time with PyTorch")
    expected = by_keras(kind)
    cut = by_lowmem(kind, tmp_path, cuts=(3, 7))
    assert cut.history == expected.history
    assert cut.epochs == expected.epochs
    assert cut.bits == expected.bits


KIND = KINDS["callbacks"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return by_lowmem(KIND, tmp_path_factory.mktemp("whole"))


def test_a_training_that_is_not_cut_is_what_fit_makes_of_the_same_order(whole):
    expected = by_keras(KIND)
    assert (whole.bits, whole.history) == (expected.bits, expected.history)


def test_a_training_cut_at_every_step_of_two_epochs_is_equal(whole, tmp_path):
    """Each process makes one step that is committed, and one that is lost."""
    cut = by_lowmem(KIND, tmp_path, cuts=(2,) * (STEPS + 2), every_steps=1)
    assert (cut.bits, cut.history) == (whole.bits, whole.history)
    counting, telling = cut.callbacks[3:]
    assert counting.losses == whole.callbacks[3].losses
    # An epoch that goes on is not begun again.
    assert telling.epochs.tolist() == whole.callbacks[4].epochs.tolist()


@pytest.mark.parametrize("part", ["metrics/", "seed_generator_state", "velocity"])
def test_a_training_that_forgets_a_part_is_not_equal(part, tmp_path, monkeypatch):
    """What shows that the tests above would notice a loss."""
    build = KINDS["averages"].build
    kind = Kind(build=build if part == "velocity" else classifier)
    expected = by_lowmem(kind, tmp_path / "whole")
    named = fit_state._variables
    monkeypatch.setattr(
        fit_state,
        "_variables",
        lambda model, **words: [
            one for one in named(model, **words) if part not in one[0]
        ],
    )
    monkeypatch.setattr(fit_state, "metric_values", lambda _: [])
    cut = by_lowmem(kind, tmp_path / "cut", cuts=(3,))
    assert (cut.bits, cut.history) != (expected.bits, expected.history)


def test_a_training_that_is_done_is_not_trained_and_one_of_more_epochs_goes_on(
    tmp_path,
):
    def trained(epochs):
        keras.utils.set_random_seed(epochs)
        model = classifier(keras.optimizers.Adam(use_ema=True))
        steps = Steps()
        history = lowmem.fit(
            model, X, LABELS, epochs=epochs, batch_size=BATCH, workspace=tmp_path,
            verbose=0, callbacks=[steps],
        )  # fmt: skip
        return model.get_weights(), history.history, steps.told

    first, again, more = trained(2), trained(2), trained(3)
    assert [told for *_, told in (first, again, more)] == [
        2 * STEPS,
        2 * STEPS,
        3 * STEPS,
    ]
    assert first[1] == again[1]
    assert all(map(np.array_equal, first[0], again[0]))
    assert {key: rows[:2] for key, rows in more[1].items()} == first[1]


class Steps(keras.callbacks.Callback):
    """Counts the steps of all processes."""

    told = 0

    def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002 - as Keras calls it
        self.told += 1


def test_early_stopping_stops_once_and_stays_stopped(tmp_path):
    def trained():
        keras.utils.set_random_seed(1)
        rule = keras.callbacks.EarlyStopping(
            "loss", patience=1, min_delta=10.0, restore_best_weights=True
        )
        history = lowmem.fit(
            classifier(), X, LABELS, epochs=9, batch_size=BATCH, workspace=tmp_path,
            verbose=0, callbacks=[rule],
        )  # fmt: skip
        return history.epoch, rule.stopped_epoch, rule.best

    assert trained() == trained()
    assert trained()[:2] == ([0, 1], 1)


def test_a_signal_commits_and_ends_with_75_and_the_next_process_goes_on(tmp_path):
    expected = by_lowmem(KINDS["labels"], tmp_path / "whole")

    class Asking(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):  # noqa: ARG002
            if batch == 2 and int(self.model.optimizer.iterations) < STEPS:
                os.kill(os.getpid(), signal.SIGTERM)

    def trained():
        keras.utils.set_random_seed(SEED)
        model = classifier()
        history = lowmem.fit(
            model, X, LABELS, epochs=EPOCHS, batch_size=BATCH, seed=SEED, verbose=0,
            workspace=tmp_path / "asked", callbacks=[Asking()],
        )  # fmt: skip
        return model, history

    with pytest.raises(FitStoppedError, match=r"step (3|4) of epoch 1") as caught:
        trained()
    assert caught.value.code == 75
    assert isinstance(caught.value, SystemExit)
    model, history = trained()
    assert history.history == expected.history
    bits = [keras.ops.convert_to_numpy(one).tobytes() for one in model.variables]
    assert bits == expected.bits[: len(bits)]


def test_the_mirror_goes_on_where_the_folder_is_gone(tmp_path):
    kind, mirror = KINDS["labels"], tmp_path / "mirror"
    expected = by_lowmem(kind, tmp_path / "whole")

    def part(name, after):
        keras.utils.set_random_seed(SEED)
        model = kind.build()
        return lowmem.fit(
            model, X, LABELS, epochs=EPOCHS, batch_size=BATCH, seed=SEED, verbose=0,
            every_steps=2, workspace=tmp_path / name, mirror=mirror,
            callbacks=[Cut(after)],
        )  # fmt: skip

    with pytest.raises(CutError):
        part("lost", 9)
    assert len([*mirror.glob("gen-*")]) == 2
    assert part("new", None).history == expected.history


def test_a_store_is_trained_on_in_its_own_order_and_goes_on_in_it(tmp_path):
    store = tmp_path / "images.zarr"
    group = zarr.create_group(store)
    images = np.random.default_rng(2).integers(0, 256, (22, 4, 4, 1)).astype("uint8")
    group.create_array("images", data=images, chunks=(5, 4, 4, 1))

    def model():
        keras.utils.set_random_seed(SEED)
        layers = keras.layers
        made = keras.Sequential(
            [
                keras.Input((4, 4, 1)),
                layers.Rescaling(1 / 255),
                layers.Dropout(0.2),
                layers.Conv2D(1, 3, padding="same"),
            ]
        )
        made.compile("adam", "mse")
        return made

    def trained(workspace, cuts):
        for after in (*cuts, None):
            data = lowmem.ZarrSequence(store, batch_size=4, rows=range(18), seed=5)
            held_out = data.of_rows(range(18, 22))
            try:
                history = lowmem.fit(
                    model(), data, epochs=3, workspace=workspace, every_steps=1,
                    verbose=0, validation_data=held_out, callbacks=[Cut(after)],
                )  # fmt: skip
            except CutError:
                continue
            finally:
                data.close()
        return history.history

    data = lowmem.ZarrSequence(store, batch_size=4, rows=range(18), seed=5)
    plain = model().fit(
        data,
        epochs=3,
        verbose=0,
        shuffle=False,
        validation_data=data.of_rows(range(18, 22)),
    )
    data.close()
    assert trained(tmp_path / "whole", ()) == plain.history
    assert trained(tmp_path / "cut", (2, 7)) == plain.history


def test_fit_of_ones_own_goes_on_within_an_epoch_and_returns_all_rows(whole, tmp_path):
    for after in (8, None):
        keras.utils.set_random_seed(SEED)
        model, callbacks = KIND.build(), KIND.callbacks()
        resume = lowmem.ExactResume(tmp_path / "ckpt", every_steps=1, seed=SEED)
        words = resume.fit_arguments(
            X, LABELS, epochs=EPOCHS, batch_size=BATCH, verbose=0,
            callbacks=[*callbacks, Cut(after)], **KIND.more,
        )  # fmt: skip
        # The former is not closed: a cell that was interrupted is run again.
        with pytest.raises(CutError) if after else nullcontext():
            history = model.fit(**words)
    assert history is resume
    assert (history.history, history.epoch) == (whole.history, whole.epochs)


@pytest.mark.parametrize("module", ["lowmem.fitting.fit", "lowmem.fitting.resume"])
def test_the_examples_hold(module):
    ended = doctest.testmod(import_module(module))
    assert ended.attempted
    assert not ended.failed


def test_the_progress_bar_goes_on_within_the_epoch(tmp_path, capsys):
    def trained(after):
        lowmem.fit(
            classifier(), X, LABELS, epochs=2, batch_size=BATCH, workspace=tmp_path,
            every_steps=1, verbose=1, callbacks=[Cut(after)],
        )  # fmt: skip
        return capsys.readouterr().out

    with pytest.raises(CutError):
        trained(4)
    capsys.readouterr()
    told = trained(None)
    first, second = told.partition("Epoch 2/2")[::2]
    assert "Epoch 1/2" in first
    # The first step of this process is the fourth; Keras shows some, and the last.
    shown = [f"{step}/6" in first for step in range(1, 7)]
    assert not any(shown[:3])
    assert shown[-1]
    assert "1/6" in second
    assert "accuracy" in second


def test_callbacks_that_write_go_on_in_their_files(tmp_path):
    has_board = find_spec("tensorboard") is not None

    def trained(name, cuts):
        folder = tmp_path / name
        (folder / "saved").mkdir(parents=True)
        for after in (*cuts, None):
            keras.utils.set_random_seed(SEED)
            best, often = (
                keras.callbacks.ModelCheckpoint(
                    str(folder / "saved" / f"{pattern}.weights.h5"), "loss",
                    save_weights_only=True, **words,
                )
                for pattern, words in (
                    ("best", {"save_best_only": True}),
                    ("{epoch}-{batch}", {"save_freq": 4}),
                )
            )  # fmt: skip
            table = keras.callbacks.CSVLogger(str(folder / "log.csv"))
            boards = [keras.callbacks.TensorBoard(str(folder / "board"))] * has_board
            try:
                lowmem.fit(
                    classifier(), X, LABELS, epochs=EPOCHS, batch_size=BATCH, verbose=0,
                    workspace=folder, every_steps=1,
                    callbacks=[best, often, table, *boards, Cut(after)],
                )  # fmt: skip
            except CutError:
                # What the end of a process would do.
                table.csv_file.close()
        names = sorted(path.name for path in (folder / "saved").iterdir())
        rows = (folder / "log.csv").read_text()
        return names, rows, best.best, [one._global_train_batch for one in boards]

    expected = trained("whole", ())
    assert len(expected[0]) == 1 + EPOCHS * STEPS // 4
    assert expected[1].count("\n") == 1 + EPOCHS
    assert expected[3] == [EPOCHS * STEPS] * has_board
    assert trained("cut", (3, 6, 4)) == expected


def test_restart_forgets_the_commits_of_folder_and_mirror(tmp_path):
    def n_steps(**words):
        steps = Steps()
        lowmem.fit(
            classifier(), X, LABELS, batch_size=BATCH, verbose=0, callbacks=[steps],
            workspace=tmp_path, mirror=tmp_path / "mirror", **words,
        )  # fmt: skip
        return steps.told

    # Of all processes together: those of a second training are counted anew.
    assert [n_steps(), n_steps(epochs=2), n_steps(restart=True)] == [
        STEPS,
        2 * STEPS,
        STEPS,
    ]

"""A model file that cannot be read is a data error, whatever the reason that is given."""

from __future__ import annotations

import re
from pathlib import Path
from zipfile import ZipFile

import pytest

SAMPLES = Path(__file__).parents[1] / "samples" / "models"

pytestmark = [pytest.mark.keras, pytest.mark.slow]


def loaders():
    from lowmem_jobs.generate.work import _load_decoder
    from lowmem_jobs.model.encoder import load_encoder

    return {
        "encoder": lambda path: load_encoder(path, image_shape=(8, 8, 3)),
        "decoder": lambda path: _load_decoder(path, 3),
    }


@pytest.mark.parametrize("which", ["encoder", "decoder"])
@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("", "OSError"),
        ("\n\n", "OSError"),
        ("\n no such layer\nat all", "no such layer"),
    ],
)
def test_an_error_that_says_nothing_in_its_first_line_is_told_all_the_same(
    tmp_path, monkeypatch, which, message, told
):
    import keras

    from lowmem.base.errors import DataError

    def load_model(*_, **__):
        raise OSError(message)

    monkeypatch.setattr(keras.saving, "load_model", load_model)
    with pytest.raises(DataError, match=rf"cannot be read \({told}\)"):
        loaders()[which](tmp_path / "model.keras")


@pytest.mark.parametrize("which", ["encoder", "decoder"])
def test_a_file_that_is_no_model_is_a_data_error_that_names_it(tmp_path, which):
    from lowmem.base.errors import DataError

    path = tmp_path / "model.keras"
    path.write_bytes(b"no zip archive")
    with pytest.raises(DataError, match=r"model\.keras cannot be read"):
        loaders()[which](path)


@pytest.mark.parametrize("which", ["encoder", "decoder"])
def test_one_flipped_bit_of_the_weights_is_a_data_error(tmp_path, which):
    import keras

    from lowmem.base.errors import DataError

    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(64)]).save(path)
    content = bytearray(path.read_bytes())
    with ZipFile(path) as archive:
        place = archive.getinfo("model.weights.h5").header_offset
    content[place + 2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"model\.keras cannot be read \(Bad CRC-32"):
        loaders()[which](path)


def test_a_model_published_by_an_earlier_layout_opens_and_gives_the_same_vectors():
    """`tests/samples/models`: written with Keras 3.10, before its code lay under jobs."""
    import numpy as np

    from lowmem_jobs.generate.work import _load_decoder
    from lowmem_jobs.model.encoder import Encoder, load_encoder

    images = (np.arange(2 * 8 * 8 * 3) % 256).astype(np.uint8).reshape(2, 8, 8, 3)
    encoder = load_encoder(SAMPLES / "autoencoder.keras", image_shape=(8, 8, 3))
    z = Encoder(encoder, batch_size=2).encode(images)
    expected = [[0.80048525, -0.20729193], [0.10728175, 0.1069508]]
    np.testing.assert_allclose(z, expected, rtol=1e-4)
    decoder = _load_decoder(SAMPLES / "decoder.keras", 2)
    means = np.asarray(decoder.predict_on_batch(z)).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(means, [0.5024117, 0.50023615], rtol=1e-4)


def test_a_published_model_names_no_class_but_keras_own(tmp_path):
    """So it opens with plain Keras, wherever lowmem's own code lies."""
    from lowmem_jobs.model.autoencoder import build_autoencoder, compile_autoencoder
    from lowmem_jobs.model.parts import cut_at_latent, write_parts

    model = build_autoencoder(
        input_shape=(8, 8, 3), latent_dim=2, filters=(4,), batch_norm=True
    )
    compile_autoencoder(model, loss="mae", learning_rate=1e-3)
    model.save(tmp_path / "with-its-loss.keras")
    assert "lowmem_jobs" in modules_of(tmp_path / "with-its-loss.keras")
    write_parts(cut_at_latent(model), tmp_path)
    for name in ("autoencoder", "encoder", "decoder"):
        assert modules_of(tmp_path / f"{name}.keras") == {"keras"}


def modules_of(path):
    """Return the packages whose classes a model file names."""
    with ZipFile(path) as archive:
        config = archive.read("config.json").decode()
    return set(re.findall(r'"module": "(\w+)', config))

"""A model file that cannot be read is a data error, whatever the reason that is given."""

from __future__ import annotations

from zipfile import ZipFile

import pytest

pytestmark = [pytest.mark.keras, pytest.mark.slow]


def loaders():
    from lowmem.training.encoder import load_encoder
    from lowmem_jobs.generate.work import _load_decoder

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

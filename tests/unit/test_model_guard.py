"""A model's file that takes anything from outside itself is refused before Keras reads it."""

from __future__ import annotations

import io
import json
import os
import zipfile

import h5py
import numpy as np
import pytest

from lowmem.base.errors import DataError
from lowmem_jobs.model.model_file import refuse_unless_own


def weights(fill):
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("layers/dense/vars/0", data=np.ones(3))
        fill(file)
    return stream.getvalue()


def model(path, data, name="model.weights.h5"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr(name, data)
    return path


def link_out(file):
    file["layers/dense/vars/1"] = h5py.ExternalLink("other.h5", "/x")


def store_outside(file):
    file.create_dataset("layers/x", (3,), "u1", external=[("other.bin", 0, 3)])


def be_virtual(file):
    layout = h5py.VirtualLayout(shape=(3,), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(3,))
    file.create_virtual_dataset("layers/x", layout)


@pytest.mark.parametrize("fill", [link_out, store_outside, be_virtual])
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_weights_that_lie_in_another_file_are_refused(tmp_path, fill, suffix):
    path = tmp_path / f"m{suffix}"
    data = weights(fill)
    model(path, data) if suffix == ".keras" else path.write_bytes(data)
    with pytest.raises(DataError, match=r"/layers/.* (to the file|in another file)"):
        refuse_unless_own(path)


def test_a_whole_model_is_let_through(tmp_path):
    def within(file):
        file["layers/again"] = file["layers/dense"]
        file["layers/round"] = h5py.SoftLink("/layers")

    refuse_unless_own(model(tmp_path / "m.keras", weights(within)))
    (tmp_path / "m.h5").write_bytes(weights(within))
    refuse_unless_own(tmp_path / "m.h5")


@pytest.mark.parametrize("name", ["../m.weights.h5", "/m.weights.h5", "a/..\\b.h5"])
def test_a_member_named_outside_the_archive_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="holds a member named"):
        refuse_unless_own(model(tmp_path / "m.keras", b"", name))


def test_a_member_that_unpacks_to_more_than_weights_do_is_refused(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", b"abc")
    data = bytearray(path.read_bytes())
    at = data.find(b"PK\x01\x02") + 24
    data[at : at + 4] = (2**31).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(DataError, match="unpacks to 2147483648 bytes"):
        refuse_unless_own(path)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_model_is_left_to_keras(tmp_path, data):
    (tmp_path / "m.keras").write_bytes(data)
    refuse_unless_own(tmp_path / "m.keras")
    refuse_unless_own(tmp_path / "nowhere.keras")


def test_a_pipe_in_the_place_of_a_model_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.keras")
    with pytest.raises(DataError, match="is a pipe"):
        refuse_unless_own(tmp_path / "m.keras")


def test_what_cannot_be_looked_through_is_refused_and_not_passed_over(tmp_path):
    path = tmp_path / "round.h5"
    with h5py.File(path, "w") as file:
        file["group"] = file.create_group("a")
        file["a"]["again"] = file["a"]
    with pytest.raises(DataError, match="cannot be read"):
        refuse_unless_own(path)


FUNCTION = {"module": "keras.utils", "class_name": "get_file", "config": {}}
NAMED = {"module": "keras.utils", "class_name": "function", "config": "get_file"}
WORDS = {
    "module": "keras.layers",
    "class_name": "StringLookup",
    "config": {"vocabulary": "/etc/hostname"},
}
PROGRAM = {"module": "keras.layers", "class_name": "TFSMLayer", "config": {}}
PICKLE = {"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {}}
LAMBDA = {"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}}
SILU = {"module": "keras.activations", "class_name": "function", "config": "silu"}
DENSE = {
    "module": "keras.layers",
    "class_name": "Dense",
    "config": {"units": 3, "activation": SILU},
}


def within(layer):
    """Return a model's configuration with a layer inside an inner model."""
    inner = {
        "module": "keras",
        "class_name": "Functional",
        "config": {"layers": [layer]},
    }
    return json.dumps(
        {"class_name": "Functional", "config": {"layers": [DENSE, inner]}}
    )


def with_layer(path, layer):
    if path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = within(layer)
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", within(layer))
    return path


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (FUNCTION, "keras.utils.get_file in the place of a layer"),
        (NAMED, "keras.utils.get_file in the place of a layer"),
        ({**DENSE, "config": {"loss": FUNCTION}}, "get_file in the place of a class"),
        (WORDS, "its words in the file /etc/hostname"),
        (PROGRAM, "a TFSMLayer, which brings code"),
        (PICKLE, "a TorchModuleWrapper, which brings code"),
    ],
)
def test_a_layer_that_is_a_program_or_takes_a_file_is_refused(
    tmp_path, name, layer, told
):
    """Whatever the release of Keras: the safe mode of older ones lets them in."""
    with pytest.raises(DataError, match=told):
        refuse_unless_own(with_layer(tmp_path / name, layer))
    refuse_unless_own(with_layer(tmp_path / name, DENSE))


def test_a_lambda_is_refused_where_keras_may_have_no_safe_mode(tmp_path):
    with pytest.raises(DataError, match="a Lambda, which brings code"):
        refuse_unless_own(with_layer(tmp_path / "m.h5", LAMBDA))
    # Of these Keras is told to be safe, and weights are read without the layers.
    refuse_unless_own(with_layer(tmp_path / "m.keras", LAMBDA))


def test_a_configuration_nested_without_end_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", "[" * 100_000)
    with pytest.raises(DataError, match="nested too deeply"):
        refuse_unless_own(tmp_path / "m.keras")

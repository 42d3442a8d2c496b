"""Which framework Keras computes with, decided and found."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path

import pytest

from lowmem.base.backends import BACKENDS, chosen_backend, find_backend
from lowmem.base.errors_backend import MissingBackendError, UnknownBackendError
from lowmem.base.software import software_versions
from lowmem.memory.vram import JAX_SHARE_VARIABLES
from lowmem.supervisor.device import device_environment
from lowmem.supervisor.processes import worker_environment

TF, JAX, TORCH = BACKENDS


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Return what makes these frameworks, and no others, be found."""

    def only(*names):
        for name in BACKENDS:
            monkeypatch.setitem(sys.modules, name, None)
        for name in names:
            monkeypatch.delitem(sys.modules, name)
            (tmp_path / name).mkdir()
            (tmp_path / name / "__init__.py").write_text("raise AssertionError")
        monkeypatch.syspath_prepend(tmp_path)

    return only


def keras_home(folder, content):
    """Return an environment in which Keras' own file has this content."""
    (folder / "keras.json").write_text(content)
    return {"KERAS_HOME": str(folder)}


@pytest.mark.parametrize(
    ("variable", "configured", "installed", "name", "said_by", "is_installed"),
    [
        ("", None, [TF, JAX, TORCH], TF, "installed", True),
        ("", None, [JAX, TORCH], JAX, "installed", True),
        ("", None, [TORCH], TORCH, "installed", True),
        ("", None, [], None, "installed", False),
        ("", JAX, [TF, JAX], JAX, "file", True),
        # Keras writes TensorFlow into its file, installed or not.
        ("", TF, [JAX], JAX, "installed", True),
        ("", TF, [], None, "installed", False),
        ("", "openvino", [TORCH], TORCH, "installed", True),
        (TORCH, JAX, [TF, JAX, TORCH], TORCH, "variable", True),
        (JAX, TF, [TF], JAX, "variable", False),
        ("jxa", TF, [TF, JAX], "jxa", "variable", False),
    ],
)
def test_the_variable_counts_then_the_file_then_what_is_installed(
    variable, configured, installed, name, said_by, is_installed
):
    found = chosen_backend(
        variable=variable, configured=configured, installed=installed
    )
    expected = (name, said_by, is_installed)
    assert (found.name, found.said_by, found.is_installed) == expected


def test_a_chosen_one_that_is_installed_is_what_a_job_gets():
    for name in BACKENDS:
        found = chosen_backend(variable=name, configured=None, installed=BACKENDS)
        assert found.require() == name


@pytest.mark.parametrize("name", ["jxa", "TensorFlow", "openvino", "numpy"])
def test_one_that_keras_cannot_train_with_is_wrong_usage(name):
    found = chosen_backend(variable=name, configured=None, installed=BACKENDS)
    with pytest.raises(UnknownBackendError, match="tensorflow, jax or torch") as caught:
        found.require()
    assert caught.value.exit_code == 2
    assert f"KERAS_BACKEND is '{name}'" in str(caught.value)
    is_explained = "cannot train" in str(caught.value)
    assert is_explained == (name in {"openvino", "numpy"})


@pytest.mark.parametrize(
    ("variable", "command"),
    [("", "'lowmem[tensorflow]'"), (TORCH, "'lowmem[torch]'"), (JAX, "'lowmem[jax]'")],
)
def test_one_that_is_missing_is_named_with_the_command_that_installs_it(
    variable, command
):
    found = chosen_backend(variable=variable, configured=None, installed=[])
    with pytest.raises(MissingBackendError) as caught:
        found.require()
    assert caught.value.exit_code == 69
    assert str(caught.value).endswith(f"pip install {command}")


def test_the_commands_that_errors_advise_install_what_they_name():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    extras = project["optional-dependencies"]
    for name in BACKENDS:
        assert [one.split(">=")[0] for one in extras[name]] == [name]
    # Alone it brings none of them.
    names = {one.split(">=")[0] for one in project["dependencies"]}
    assert "keras" in names
    assert not names & set(BACKENDS)


@pytest.mark.parametrize("names", [[], [TORCH], [JAX, TORCH], [TF, JAX]])
def test_what_is_installed_is_found_without_being_loaded(install, tmp_path, names):
    install(*names)
    environment = keras_home(tmp_path, json.dumps({"backend": JAX}))
    found = find_backend(environment)
    expected = JAX if JAX in names else next(iter(names), None)
    assert (found.name, found.is_installed) == (expected, bool(names))


def test_a_folder_that_has_the_name_of_a_framework_is_none(
    install, tmp_path, monkeypatch
):
    install()
    monkeypatch.delitem(sys.modules, JAX)
    (tmp_path / JAX).mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert find_backend({}).name is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"backend": 3}', "{}"])
def test_a_file_of_keras_that_says_nothing_is_passed_over(install, tmp_path, content):
    install(TF, TORCH)
    found = find_backend(keras_home(tmp_path, content))
    assert (found.name, found.said_by) == (TF, "installed")


def test_the_file_is_where_keras_looks_for_it(install, tmp_path, monkeypatch):
    install(TF, TORCH)
    (tmp_path / ".keras").mkdir()
    keras_home(tmp_path / ".keras", json.dumps({"backend": TORCH}))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_backend({}).name == TORCH
    assert find_backend({"KERAS_HOME": str(tmp_path)}).name == TF


@pytest.mark.parametrize(
    ("names", "given", "expected"),
    [
        ([JAX], {}, JAX),
        ([JAX], {"KERAS_BACKEND": ""}, JAX),
        ([TF, JAX], {"KERAS_BACKEND": JAX}, JAX),
        ([TF], {"KERAS_BACKEND": "jxa"}, "jxa"),
        ([], {}, None),
    ],
)
def test_a_worker_is_told_what_to_compute_with(
    install, tmp_path, names, given, expected
):
    install(*names)
    told = worker_environment("cpu", {**keras_home(tmp_path, "{}"), **given})
    assert told.get("KERAS_BACKEND") == expected


def test_only_the_version_of_the_framework_in_use_counts(install, tmp_path):
    install(TF, JAX)
    home = keras_home(tmp_path, "{}")
    for name, other in ((TF, JAX), (JAX, TF)):
        found = software_versions({**home, "KERAS_BACKEND": name})
        assert found["backend"] == name
        assert other not in found
        assert {"python", "zarr", "numcodecs", "numpy", "keras"} <= set(found)


@pytest.mark.parametrize("version", ["0.4.30", "0.7.2", "0.12.0.1", None])
def test_jax_is_told_its_share_under_the_one_name_that_its_release_reads(version):
    variables = device_environment(
        device="gpu",
        inherited={"KERAS_BACKEND": JAX},
        vram_budget_bytes=4 * 10**9,
        vram_total_bytes=16 * 10**9,
        jaxlib_version=version,
    )
    new, old = JAX_SHARE_VARIABLES
    named, removed = (old, new) if version == "0.4.30" else (new, old)
    assert variables[named] == f"{(4 - 0.9) / 16:.6f}"
    assert variables[removed] is None


def test_the_installed_jax_reads_the_share_that_it_is_told(monkeypatch):
    client = pytest.importorskip("jaxlib.xla_client", reason="JAX is not installed")
    variables = worker_environment(
        "gpu",
        # Of an outer program, in either name.
        dict.fromkeys(JAX_SHARE_VARIABLES, "0.9") | {"KERAS_BACKEND": JAX},
        vram_budget_bytes=4 * 10**9,
        vram_total_bytes=16 * 10**9,
    )
    for name in list(client.os.environ):
        if name.startswith("XLA_"):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    options = client.generate_pjrt_gpu_plugin_options()
    assert options["memory_fraction"] == pytest.approx((4 - 0.9) / 16, abs=1e-6)
    assert options["preallocate"] is False

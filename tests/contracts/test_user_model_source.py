"""The user's model is built by the source that their word is for, whatever is cached."""

from __future__ import annotations

import os
import py_compile
import sys

import pytest

from lowmem.base.errors import ModelError
from lowmem_jobs.model.user_model import build_custom_model

MODES = py_compile.PycInvalidationMode
# Of one length: a cached file is known by its source's time and size.
SOURCE = "def build(**_):\n    return 'the source'\n"
CACHED = "def build(**_):\n    return (b'cached',)\n"


@pytest.mark.parametrize("name", ["of_user", "of_package.of_user"])
@pytest.mark.parametrize("mode", [MODES.UNCHECKED_HASH, MODES.TIMESTAMP])
def test_no_cached_file_runs_in_the_place_of_the_source(
    tmp_path, monkeypatch, mode, name
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    source = tmp_path / f"{name.replace('.', '/')}.py"
    source.parent.mkdir(exist_ok=True)
    assert len(SOURCE) == len(CACHED)
    times_ns = (10**18, 10**18)
    source.write_text(CACHED)
    os.utime(source, ns=times_ns)
    py_compile.compile(str(source), invalidation_mode=mode, doraise=True)
    source.write_text(SOURCE)
    os.utime(source, ns=times_ns)
    try:
        # What it returns is no model, and is named by its type.
        with pytest.raises(ModelError, match="is a str"):
            build_custom_model(f"{name}:build", input_shape=(4, 4, 3), latent_dim=2)
        # Python itself takes the cached one.
        sys.modules.pop(name)
        build = __import__(name, fromlist=["build"]).build
        assert build() == (b"cached",)
    finally:
        for module in (name, name.partition(".")[0]):
            sys.modules.pop(module, None)

"""`lowmem init`: a file to begin with, in a folder that has none."""

from __future__ import annotations

import tomllib
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from tests.processes.lowmem_runs import COUNTING, assert_counted, job_file, lowmem, run

pytestmark = [pytest.mark.process, pytest.mark.slow]


def test_the_file_is_written_once_and_never_over_another(tmp_path):
    space = tmp_path / "new" / "work"
    ended = lowmem("init", space)
    path = space / "lowmem.toml"
    assert (ended.status, ended.out) == (0, f"{path}\n"), ended
    text = path.read_text()
    assert {"run", "train", "append"} <= set(tomllib.loads(text))
    path.write_text("# mine\n")
    again = lowmem("init", space)
    assert again.status == 2
    assert "is there already" in again.paragraph
    assert path.read_text() == "# mine\n"
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert lowmem("init", space).status == 2
    assert not (tmp_path / "nowhere").exists()


def test_its_schema_is_a_file_that_is_there(tmp_path):
    assert lowmem("init", tmp_path).status == 0
    first = (tmp_path / "lowmem.toml").read_text().splitlines()[0]
    if first.startswith("#:schema"):
        address = urlsplit(first.split()[1])
        assert address.scheme == "file"
        assert Path(url2pathname(address.path)).is_file()
    else:
        # An installed copy has no documents beside it.
        assert not (Path(__file__).parents[2] / "docs/lowmem.schema.json").is_file()


def test_a_run_beside_it_is_what_it_is_without(tmp_path):
    assert lowmem("init", tmp_path / "w").status == 0
    ended = run(job_file(tmp_path, COUNTING), tmp_path / "w")
    assert ended.status == 0, ended
    assert_counted(tmp_path / "w")

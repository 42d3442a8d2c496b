"""What comes from somebody else ends a command with its exit code and one sentence."""

from __future__ import annotations

import os

import pytest
import zarr

from tests.processes.lowmem_runs import job_file, lowmem

pytestmark = [pytest.mark.process, pytest.mark.slow]

TINY = """
import lowmem

@lowmem.job(unit="rows")
def tiny(ctx):
    'Nothing much.'
    yield lowmem.CommitPoint(items=1)
    return lowmem.Result()
"""


def assert_ended(ended, status, *words: str):
    assert ended.status == status, ended
    assert "Traceback" not in ended.err
    for word in words:
        assert word in ended.paragraph, ended.paragraph


def test_no_command_follows_a_link_or_waits_for_a_pipe_in_a_workspace(tmp_path):
    job = job_file(tmp_path, TINY)
    precious = tmp_path / "precious"
    precious.write_text("of somebody else")
    linked, piped = tmp_path / "linked", tmp_path / "piped"
    for space in (linked, piped):
        (space / ".lowmem").mkdir(parents=True)
    (linked / ".lowmem/lock").symlink_to(precious)
    os.mkfifo(piped / ".lowmem/journal.jsonl")
    ended = lowmem("run", job, "--workspace", linked)
    assert_ended(ended, 65, "lock is a link to", "precious")
    assert precious.read_text() == "of somebody else"
    for words in (("plan", job, "--workspace", piped), ("status", piped)):
        assert_ended(lowmem(*words), 65, "journal.jsonl is a pipe")


def test_a_configuration_or_a_path_that_cannot_be_read_is_wrong_usage(tmp_path):
    space = tmp_path / "w"
    space.mkdir()
    (space / "lowmem.toml").write_text("a = " + "[" * 20_000 + "]" * 20_000)
    ended = lowmem("run", "ingest", "--source", "faces:3", "--workspace", space)
    assert_ended(ended, 2, "lowmem.toml", "nested too deeply")
    name = b"w\xff".decode(errors="surrogateescape")
    ended = lowmem(
        "run", "ingest", "--source", "faces:3", "--workspace", tmp_path / name
    )
    assert_ended(ended, 2, "w\\xff", "holds bytes that are no text")


@pytest.mark.parametrize("job", ["encode", "generate", "train"])
def test_no_job_runs_code_that_came_with_a_workspace(tmp_path, monkeypatch, job):
    space = tmp_path / "w"
    (space / "model").mkdir(parents=True)
    (space / "theirs.py").write_text("open('was-run', 'w')\ndef build(**_): ...\n")
    built = '{"function": "w.theirs:build", "input_shape": [4, 4, 3], "latent_dim": 2}'
    (space / "model/training.json").write_text(f'{{"model": {built}}}')
    (space / "lowmem.toml").write_text('[train]\nmodel = "w.theirs:build"\n')
    monkeypatch.chdir(tmp_path)
    assert_ended(
        lowmem("run", job, "--workspace", space), 65,
        "code in", "theirs.py", f"lowmem run {job} --code w.theirs:build",
    )  # fmt: skip
    assert not list(tmp_path.rglob("was-run"))


def test_a_store_that_would_be_waited_for_is_refused_by_the_plan(tmp_path):
    group = zarr.open_group(tmp_path / "s.zarr", mode="w")
    group.create_array("images", shape=(8, 4, 4, 3), dtype="u1")
    (tmp_path / "s.zarr/images/zarr.json").unlink()
    os.mkfifo(tmp_path / "s.zarr/images/zarr.json")
    ended = lowmem(
        "run", "ingest", "--source", tmp_path / "s.zarr", "--workspace", tmp_path / "w"
    )
    assert_ended(ended, 65, "zarr.json is a pipe, expected a regular file")

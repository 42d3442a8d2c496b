"""Bad input from outside: an exit code, one paragraph, nothing half-written."""

from __future__ import annotations

import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.objects import npy_of_objects

pytestmark = pytest.mark.process


def lowmem(workspace, job, *options):
    line = [sys.executable, "-m", "lowmem", "run", job, "--workspace", str(workspace)]
    return subprocess.run(
        [*line, *map(str, options)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def assert_refused(done, exit_code, *words):
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    paragraphs = [p for p in done.stderr.split("\n\n") if p.strip()]
    assert len(paragraphs) == 1, done.stderr
    said = " ".join(done.stderr.split())
    for word in words:
        assert word in said, said


def assert_no_results(workspace):
    found = {p.name for p in workspace.iterdir()} if workspace.exists() else set()
    assert found <= {".lowmem", "report.html"}


def missing(folder):
    return folder / "nowhere"


def empty_folder(folder):
    (folder / "empty").mkdir()
    return folder / "empty"


def zip_that_climbs(folder):
    with zipfile.ZipFile(folder / "climb.zip", "w") as archive:
        archive.writestr("../../escaped.png", picture(folder).read_bytes())
    return folder / "climb.zip"


def picture(folder, size=(8, 8)):
    path = folder / "one.png"
    Image.new("RGB", size, (1, 2, 3)).save(path)
    return path


def bomb(folder):
    """A PNG of 60,000 x 60,000 pixels in a few kilobytes."""
    side = 60_000
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * 1000), 9)

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    (folder / "bombs").mkdir()
    (folder / "bombs" / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )
    return folder / "bombs"


def corrupt_zip(folder):
    whole = folder / "whole.zip"
    with zipfile.ZipFile(whole, "w") as archive:
        archive.write(picture(folder), "one.png")
    (folder / "half.zip").write_bytes(whole.read_bytes()[:-40])
    return folder / "half.zip"


def text_named_png(folder):
    (folder / "texts").mkdir()
    (folder / "texts" / "note.png").write_text("not a picture")
    return folder / "texts"


def array_of_objects(folder):
    data = npy_of_objects((1,), folder / "unpickled")
    (folder / "objects.npy").write_bytes(data)
    return folder / "objects.npy"


def wrong_dimensions(folder):
    np.save(folder / "flat.npy", np.zeros((10, 12), np.uint8))
    return folder / "flat.npy"


BAD_SOURCES = [
    missing,
    empty_folder,
    zip_that_climbs,
    bomb,
    corrupt_zip,
    text_named_png,
    array_of_objects,
    wrong_dimensions,
]


@pytest.mark.parametrize("make", BAD_SOURCES, ids=lambda make: make.__name__)
def test_bad_input_is_refused_with_65_and_leaves_nothing(make, tmp_path):
    source = make(tmp_path)
    workspace = tmp_path / "w"
    done = lowmem(workspace, "ingest", "--source", source, "--size", 16)
    assert_refused(done, 65, source.name)
    assert_no_results(workspace)
    assert not (tmp_path.parent / "escaped.png").exists()
    assert not (tmp_path / "unpickled").exists()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["ingest", "--ram-budget", "lots"], "'lots'"),
        (["ingest", "--ram-budget", "-3G"], "'-3G'"),
        (["ingest", "--time-budget", "soon"], "'soon'"),
        (["ingest", "--size", "0"], "--size"),
        (["ingest", "--size", "big"], "--size"),
        (["ingest", "--codec", "brotli"], "--codec"),
        (["ingest", "--crop", "1,2"], "--crop"),
        (["ingest", "--source", "faces:none"], "faces:none"),
        (["ingest", "--limit", "-1"], "--limit"),
        (["ingest", "--device", "tpu"], "tpu"),
        (["ingest", "--cycle-steps", "0"], "--cycle-steps"),
        (["ingest", "--set", "decode_ahead"], "KEY=VALUE"),
        (["ingest", "--set", "decode_ahead=-1"], "decode_ahead"),
        (["ingest", "--nonsense", "1"], "--nonsense"),
        (["ingest", "--size"], "--size"),
        (["ingest", "stray"], "stray"),
        (["paint"], "paint"),
        (["all", "--latents", "somewhere.npy"], "--latents"),
        (["all", "--set", "micro_batch=2"], "micro_batch"),
        (["all", "--set", "paint.brush=2"], "paint.brush"),
        (["train", "--epochs", "-2"], "--epochs"),
        (["train", "--validation-split", "1.5"], "--validation-split"),
        (["train", "--model", "nowhere:build"], "nowhere"),
        (["generate", "--method", "magic"], "--method"),
        (["generate", "--method", "path"], "--from-index"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_refused_with_2(options, word, tmp_path):
    job, *rest = options
    done = lowmem(tmp_path / "w", job, *rest)
    assert_refused(done, 2, word)
    assert_no_results(tmp_path / "w")


def test_a_gpu_that_is_demanded_and_missing_is_69(tmp_path):
    done = lowmem(tmp_path / "w", "ingest", "--device", "gpu")
    if done.returncode == 0:
        pytest.skip("this machine has a GPU")
    assert_refused(done, 69, "gpu")
    assert_no_results(tmp_path / "w")


@pytest.mark.parametrize("job", ["encode", "analyze", "generate"])
def test_a_job_whose_input_is_not_made_yet_names_the_job_that_makes_it(job, tmp_path):
    done = lowmem(tmp_path / "w", job)
    assert_refused(done, 65, "is missing", "lowmem run")
    assert_no_results(tmp_path / "w")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """A workspace with a few faces."""
    workspace = tmp_path_factory.mktemp("faces") / "w"
    done = lowmem(workspace, "ingest", "--source", "faces:300", "--size", "16")
    assert done.returncode == 0, done.stderr
    return workspace


def test_a_budget_that_can_never_hold_the_job_is_refused_with_73_before_any_work(faces):
    done = lowmem(faces, "train", "--ram-budget", "50M")
    assert_refused(done, 73, "--ram-budget")
    assert not (faces / "model").exists()


@pytest.mark.slow
@pytest.mark.keras
def test_a_store_whose_chunk_was_truncated_stops_training_with_65(faces, tmp_path):
    import shutil

    store = tmp_path / "images.zarr"
    shutil.copytree(faces / "images.zarr", store)
    victim = max(
        (p for p in (store / "images").rglob("*") if p.is_file()),
        key=lambda p: p.stat().st_size,
    )
    victim.write_bytes(victim.read_bytes()[:100])
    workspace = tmp_path / "w"
    done = lowmem(workspace, "train", "--data", store, "--epochs", 1)
    assert_refused(done, 65, victim.name)
    assert_no_results(workspace)


@pytest.mark.slow
def test_the_home_of_an_unknown_user_is_wrong_usage_and_no_traceback(tmp_path):
    home = "~nobody-of-this-name/x"
    done = lowmem(home, "ingest", "--source", "faces:3")
    assert_refused(done, 2, home, "does not know, expected the path")
    done = lowmem(tmp_path / "w", "ingest", "--source", home)
    assert_refused(done, 2, home, "does not know, expected the path")
    assert_no_results(tmp_path / "w")

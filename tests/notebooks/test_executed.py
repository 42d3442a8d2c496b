"""Each notebook, executed by a real kernel on a simulated machine of Colab."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.notebooks.machines import Machine

pytest.importorskip("ipykernel", reason="no Jupyter kernel is installed")
pytest.importorskip("nbclient", reason="no Jupyter client is installed")

pytestmark = [pytest.mark.process, pytest.mark.slow, pytest.mark.keras]

SMALL = ["--ram-budget", "2G", "--size", "32", "--epochs", "1", "--latent-dim", "4"]
SMALL += ["--count", "8", "--no-figures"]
STUDY = [*SMALL, "--filters", "4,8"]


@pytest.fixture
def drive(tmp_path):
    folder = tmp_path / "drive"
    folder.mkdir()
    return folder


def pictures(path, n_images=160):
    """Write an archive of noisy JPEGs of CelebA's size."""
    random = np.random.default_rng(1)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(n_images):
            pixels = random.integers(0, 256, (7, 6, 3), np.uint8)
            stream = io.BytesIO()
            Image.fromarray(pixels).resize((178, 218)).save(stream, "JPEG")
            archive.writestr(f"img_align_celeba/{number:06}.jpg", stream.getvalue())


def shows_a_picture(outputs):
    return any("image/png" in o.get("data", {}) for o in outputs)


def test_the_quickstart_without_a_drive_says_so_and_goes_on(tmp_path, drive):
    machine = Machine(tmp_path / "vm", drive, ends="unsupported")
    done = machine.execute(
        "quickstart",
        DATA=None,
        MIRROR="mirror",
        MIRROR_DATA=False,
        OPTIONS=[*STUDY, "--source", "faces:160"],
    )
    assert done.errors == []
    assert "NotImplementedError" in done.text
    assert "If this machine is lost, all that they make is lost with it" in done.text
    assert not list(drive.iterdir())
    assert shows_a_picture(done.of("grid.png"))
    assert "RAM peak" in done.text
    # One output a job that is renewed, and the lines around it: nothing piles up.
    shown = done.of("colab.start")
    bars = [
        o["data"]["text/plain"] for o in shown if o["output_type"] == "display_data"
    ]
    assert [bar.split()[0] for bar in bars] == [
        "ingest", "train", "encode", "analyze", "generate",
    ]  # fmt: skip
    lines = "".join(o["text"] for o in shown if o["output_type"] == "stream").split(
        "\n"
    )
    assert not [line for line in lines if "%|" in line or "\r" in line]
    assert lines.count("train is done") == 1


def test_celeba_is_studied_from_its_archive_on_a_slow_drive(tmp_path, drive):
    pictures(drive / "img_align_celeba.zip")
    done = Machine(tmp_path / "vm", drive).execute(
        "celeba",
        DATA="img_align_celeba.zip",
        MIRROR="mirror",
        MIRROR_DATA=False,
        OPTIONS=["--preset", "celeba", *STUDY],
    )
    assert done.errors == []
    assert (drive / ".touched").exists(), "the mirror wrote past the simulated Drive"
    assert list((drive / "mirror" / "lowmem-work").glob("generate-*.ok"))
    copy = tmp_path / "vm" / "content" / "data" / "img_align_celeba.zip"
    assert copy.read_bytes() == (drive / "img_align_celeba.zip").read_bytes()
    assert shows_a_picture(done.of("grid.png"))


def test_a_model_of_ones_own_is_trained_on_images_of_ones_own(tmp_path, drive):
    np.save(drive / "mine.npy", np.random.default_rng(1).random((160, 32, 32, 1)))
    done = Machine(tmp_path / "vm", drive).execute(
        "your_own",
        DATA="mine.npy",
        MIRROR="mirror",
        OPTIONS=[*SMALL, "--model", "my_model:build"],
    )
    assert done.errors == []
    assert any("Dropout" in text for text in done.displayed)
    assert "(160, 4) float32" in done.text
    assert shows_a_picture(done.of("grid.png"))


def test_without_drive_data_that_lie_there_end_the_notebook_with_a_sentence(
    tmp_path, drive
):
    done = Machine(tmp_path / "vm", drive, ends="timeout").execute(
        "celeba",
        DATA="img_align_celeba.zip",
        MIRROR="mirror",
        MIRROR_DATA=False,
        OPTIONS=["--preset", "celeba"],
    )
    (error,) = done.errors
    assert error["ename"] == "DriveMissingError"
    (sentence,) = error["traceback"]
    assert "img_align_celeba.zip is on Drive" in sentence
    assert "ValueError: mount failed" in sentence
    assert done.of("grid.png") == []

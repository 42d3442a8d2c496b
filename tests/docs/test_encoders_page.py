"""What docs/encoders.md shows: both programs encode, and give what they say."""

from __future__ import annotations

import zlib

import numpy as np
import zarr

from lowmem.stores.row_writer import RowWriter
from lowmem_jobs.encode.job import JOB
from tests.docs.test_blocks_shown import program
from tests.driver import drive

PAGE = "docs/encoders.md"


def latents(space):
    return zarr.open_array(space / "latents.zarr" / "z", mode="r")[:]


def test_both_encoders_of_the_page_give_what_they_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "features.py").write_text(program(PAGE, "def embed"))
    (tmp_path / "sentences.py").write_text(program(PAGE, "class Embed"))
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), np.uint8)
    space = tmp_path / "lowmem-work"
    writer = RowWriter.open(
        space / "images.zarr", "images", row_shape=(6, 5, 3), dtype="u1", chunk_rows=40
    )
    writer.append(images)
    writer.flush()
    assert drive(JOB, space, {"encoder": "features.py:embed"})
    expected = images.astype(np.float64).mean(axis=(1, 2))
    np.testing.assert_allclose(latents(space), expected, rtol=1e-5)

    table = np.random.default_rng(1).standard_normal((64, 4))
    np.save("table.npy", table)
    (tmp_path / "lines.txt").write_text("one two\n\none one one\n")
    given = {
        "encoder": "sentences.py:Embed",
        "weights": str(tmp_path / "table.npy"),
        "source": "lines.txt",
    }
    assert drive(JOB, tmp_path / "text", given)
    one, two = (table[zlib.crc32(word) % 64] for word in (b"one", b"two"))
    expected = [(one + two) / 2, 0 * one, one]
    np.testing.assert_allclose(latents(tmp_path / "text"), expected, rtol=1e-6)

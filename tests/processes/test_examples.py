"""The worked examples: sound under every check, and equal to the same work done in RAM."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from lowmem.testing import Case, check
from tests.processes.lowmem_runs import lowmem

pytestmark = [pytest.mark.process, pytest.mark.slow]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
WORDS = [f"word{number}" for number in range(300)]


def signals():
    return np.random.default_rng(1).standard_normal((60, 32)).astype("f4")


def texts(n_texts):
    """Draw texts of words, of which some are far more common than others."""
    draw = np.random.default_rng(2)
    ranks = np.minimum(draw.zipf(1.3, (n_texts, 20)) - 1, len(WORDS) - 1)
    return [" ".join(WORDS[rank] for rank in row) for row in ranks]


def test_spectra_are_sound_and_those_of_numpy_to_the_bit(tmp_path):
    def prepare(space):
        np.save(space / "signals.npy", signals())

    job = EXAMPLES / "spectra.py"
    check(Case(job, tmp_path, options={"rows": 10}, prepare=prepare, ram="300M"))
    prepare(tmp_path)
    ended = lowmem("run", job, "--workspace", tmp_path / "w", cwd=tmp_path)
    assert ended.status == 0, ended
    made = zarr.open_group(tmp_path / "w" / "spectra.zarr", mode="r")["spectra"][:]
    expected = np.abs(np.fft.rfft(signals(), axis=1)) ** 2
    assert made.dtype == expected.dtype
    np.testing.assert_array_equal(made, expected)


def test_topics_are_sound_and_those_of_scikit_learn(tmp_path):
    lines = texts(1_100)
    (tmp_path / "texts.txt").write_text("\n".join(lines) + "\n")
    options = {"texts": tmp_path / "texts.txt", "features": 64, "topics": 5}
    job = EXAMPLES / "topics.py"
    check(Case(job, tmp_path, options=options, ram="500M"))
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    ended = lowmem("run", job, "--workspace", tmp_path / "w", *words, cwd=tmp_path)
    assert ended.status == 0, ended
    hashing = HashingVectorizer(n_features=64, alternate_sign=False, norm=None)
    tfidf = TfidfTransformer().fit_transform(hashing.transform(lines))
    svd = TruncatedSVD(5, algorithm="arpack", random_state=0)
    expected = svd.fit_transform(tfidf)
    made = {
        name: np.load(tmp_path / "w" / f"{name}.npy")
        for name in ("texts", "topics", "strengths")
    }
    np.testing.assert_allclose(made["strengths"], svd.singular_values_, rtol=1e-9)
    # The sign of each topic is free.
    signs = np.sign((made["topics"] * svd.components_).sum(axis=1))
    np.testing.assert_allclose(
        made["topics"] * signs[:, None], svd.components_, atol=1e-7
    )
    np.testing.assert_allclose(made["texts"] * signs, expected, atol=1e-5)

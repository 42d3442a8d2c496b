"""A source format, codec, sampling method or figure is added by one entry of one table."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import zarr

from lowmem.stores import codecs
from lowmem.stores.row_reader import RowReader
from lowmem.stores.row_writer import RowWriter
from lowmem_jobs.ingest import formats
from lowmem_jobs.ingest.entries import Entry
from lowmem_jobs.ingest.job import JOB
from lowmem_jobs.stats import methods
from lowmem_jobs.stats.frame import PrincipalFrame
from lowmem_jobs.stats.samplers import draw_block, sampler
from tests.driver import drive

# What a planner offers of entries that are there when it starts.
PLANNER = """
import json, sys
from dataclasses import replace
from lowmem.stores import codecs
from lowmem_jobs.stats import methods
codecs.CODECS["tiny"] = codecs.CODECS["lz4"]
methods.METHODS["tiny"] = replace(methods.METHODS["mvn"], key=8)
from lowmem_jobs.ingest.job import JOB as ingest
from lowmem_jobs.generate.job import JOB as generate
from lowmem_jobs.generate.option_values import methods_of
choices = {o.name: o.choices for job in (ingest, generate) for o in job.options}
compared = methods_of({"near": None, "method": "all"})
heavy = sorted({"numpy", "zarr", "numcodecs", "scipy"} & set(sys.modules))
print(json.dumps([choices["codec"], choices["method"], compared, heavy]))
"""


@pytest.mark.process
@pytest.mark.slow
def test_the_options_offer_every_codec_and_method_of_the_tables_and_load_none_of_them():
    done = subprocess.run(
        [sys.executable, "-c", PLANNER], capture_output=True, text=True, check=True
    )
    offered, by, compared, heavy = json.loads(done.stdout)
    assert offered == ["auto", "none", "lz4", "zstd", "tiny"]
    assert by[-3:] == ["tiny", "path", "all"]
    assert compared == by[:-2]
    assert heavy == []


def test_a_codec_of_one_entry_stores_what_zarr_and_our_reader_read(
    tmp_path, monkeypatch
):
    import zlib

    entry = codecs.Codec(
        described=lambda _: {"name": "gzip", "configuration": {"level": 1}},
        compressor=lambda _: (
            lambda rows: zlib.compress(rows.tobytes(), level=1, wbits=31)
        ),
    )
    monkeypatch.setitem(codecs.CODECS, "tiny", entry)
    rows = np.arange(20 * 64, dtype=np.int32).reshape(20, 64)
    writer = RowWriter.open(
        tmp_path / "s.zarr",
        "rows",
        row_shape=(64,),
        dtype="int32",
        chunk_rows=8,
        codec="tiny",
    )
    for start in range(0, 20, 8):
        writer.append(rows[start : start + 8])
    writer.flush()
    np.testing.assert_array_equal(zarr.open_group(tmp_path / "s.zarr")["rows"], rows)
    with RowReader.open(tmp_path / "s.zarr", "rows") as reader:
        np.testing.assert_array_equal(reader.read(3, 18), rows[3:18])


def test_a_method_of_one_entry_draws_by_its_own_key(monkeypatch):
    entry = methods.Method(
        key=8,
        make=lambda frame, sigma, _: SimpleNamespace(
            promise=None,
            draw=lambda rng, n: frame.mean + sigma * rng.random((n, frame.dimension)),
            breaks_promise=lambda z: np.zeros(len(z), bool),
        ),
    )
    monkeypatch.setitem(methods.METHODS, "tiny", entry)
    frame = PrincipalFrame(
        mean=np.zeros(2), eigenvalues=np.ones(2), components=np.eye(2)
    )
    source = sampler("tiny", frame, sigma=2.0, quantile=0.5)
    rng = np.random.Generator(np.random.Philox(key=[1, 8]))
    drawn = draw_block(source, method="tiny", seed=1, block=0)
    expected = (2.0 * rng.random(drawn.shape)).astype(np.float32)
    assert np.array_equal(drawn, expected)
    with pytest.raises(ValueError, match="method must be one of"):
        sampler("tiny", frame, sigma=2.0, quantile=0.5, n_axes=1)


def test_no_two_methods_share_a_key():
    keys = [method.key for method in methods.METHODS.values()]
    assert len({*keys, methods.NEAR_KEY}) == len(keys) + 1


class Stripes:
    """Images of one colour each: a byte of a file is the grey of one image."""

    decoder = None

    def __init__(self, path, size):
        self._greys, self._size = path.read_bytes(), size

    def __len__(self):
        return len(self._greys)

    def entry(self, index):
        return Entry(f"{index:04}", n_bytes=1, place=index)

    def fetch(self, entry):
        return self._greys[entry.place]

    def load(self, stored):
        return np.full((self._size, self._size, 3), stored, np.uint8)


def test_a_source_format_of_one_entry_is_recognised_told_apart_and_ingested(
    tmp_path, monkeypatch
):
    @contextmanager
    def opened(path, _ctx, _decoder, _array):
        yield Stripes(path, 8)

    entry = formats.Format(
        names=(".stripes",), is_of=lambda path: path.suffix == ".stripes", open=opened
    )
    monkeypatch.setitem(formats.FORMATS, "stripes", entry)
    source = tmp_path / "a.stripes"
    source.write_bytes(bytes([7, 200, 31]))
    drive(JOB, tmp_path / "w", {"source": str(source), "size": 8})
    store = zarr.open_group(tmp_path / "w" / "images.zarr", mode="r")
    assert store["images"][:, 0, 0, 0].tolist() == [7, 200, 31]
    before = store.attrs["identity"]
    source.write_bytes(bytes([7, 200, 32]))
    assert formats.FORMATS["stripes"].identity(source, tmp_path) != before
    assert ".zarr or .stripes" in formats.names_of_formats()


def test_a_figure_of_one_entry_is_drawn_after_those_before_it(monkeypatch, tmp_path):
    from lowmem_jobs.analyze import gallery

    study = SimpleNamespace(
        n_features=2,
        turning=None,
        recovery=None,
        selection=SimpleNamespace(i=np.array([], int)),
    )
    shown = gallery.Shown(study=study, portraits={}, sources=[], comparison=None)
    before = list(gallery.figures_of(shown))
    assert before == [
        "components-raw",
        "components-pca",
        "explained-variance",
        "cumulative-importance",
        "correlation",
        "radius",
        "survivors",
    ]
    monkeypatch.setitem(
        gallery.FIGURES,
        "tiny",
        lambda shown: [("tiny", lambda p: p.write_text(f"{shown.study.n_features}"))],
    )
    figures = gallery.figures_of(shown)
    assert list(figures) == [*before, "tiny"]
    figures["tiny"](tmp_path / "tiny.png")
    assert (tmp_path / "tiny.png").read_text() == "2"

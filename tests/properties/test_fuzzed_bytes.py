"""The short form of ``benchmarks/fuzz.py``: some spoilt inputs for every parser."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lowmem.base.errors import DataError, StorageError
from tests.fuzzed import Parser, fault, parsers, spoilt

EXAMPLES = 4
HUGE = b"9" * 400
# What benchmarks/fuzz.py has found, and was mended: parser, what to replace, by what.
FOUND = (
    ("records", rb'"ram_peak_bytes":\d+', b'"ram_peak_bytes":' + HUGE),
    ("records", rb'"at":"2026[^"]*"', b'"at":"soon"'),
    ("records", rb'"started_at":"[^"]*"', b'"started_at":"20261e9992T19:06"'),
    ("records", rb'"seconds":[\d.]+', b'"seconds":1e308'),
    ("zarr.json of a group", rb'"attributes": \{.*\}', b'"attributes": []}'),
    ("zarr.json of a group", rb'"attributes": \{.*\}', b'"attributes": "\\ud800"}'),
    (".zarray", rb'"compressor": (null|\{[^}]*\})', b'"compressor": 0.5'),
    (".zattrs", rb"0\.5", HUGE),
    ("zarr.json", rb'"scale_factor": 0\.5', b'"scale_factor": ' + HUGE),
    (".npz", rb"^.{400}", b""),
    ("files of .lowmem", rb'\["a", "b"\]', b'["a", "' + b"{" * 300 + b'"]'),
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return parsers(tmp_path_factory.mktemp("samples"))


@pytest.mark.slow
def test_every_parser_reads_its_samples(found, tmp_path):
    for number, parser in enumerate(found):
        for place, sample in enumerate(parser.samples):
            folder = tmp_path / f"{number}-{place}"
            folder.mkdir()
            assert fault(parser, sample, folder) is None, parser.name


@pytest.mark.slow
def test_spoilt_bytes_are_read_or_are_bad_data_and_nothing_else(found, tmp_path):
    for parser in found:
        folder = tmp_path / parser.name.replace("/", " ")
        _fuzz(parser, folder)


def _fuzz(parser, folder):
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=spoilt(parser))
    def attempt(data):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        error = fault(parser, data, folder)
        assert error is None, f"{parser.name}: {error!r} for {data[:200]!r}"

    attempt()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(FOUND)))
def test_what_the_fuzzer_has_found_stays_mended(found, tmp_path, number):
    name, old, new = FOUND[number]
    (parser,) = (one for one in found if one.name == name)
    n_spoilt = 0
    for place, sample in enumerate(parser.samples):
        data = re.sub(old, new.replace(b"\\", rb"\\"), sample, flags=re.DOTALL)
        if data == sample:
            continue
        n_spoilt += 1
        if parser.is_json:
            # Of such lengths the page is written too.
            data = data.ljust(-(-len(data) // 16) * 16)
        folder = tmp_path / str(place)
        folder.mkdir()
        assert fault(parser, data, folder) is None
    assert n_spoilt


def test_a_parser_that_lets_its_bytes_through_to_a_library_is_found_out(tmp_path):
    def careless(data, _folder):
        return json.loads(data)["shape"][0] + 1

    parser = Parser(name="careless", samples=(b'{"shape": [1]}',), parse=careless)
    assert fault(parser, b'{"shape": [1]}', tmp_path) is None
    for data in (b"{", b'{"shape": "a"}', b'{"shape": {}}', b"[" * 100_000):
        assert fault(parser, data, tmp_path) is not None


@given(data=st.data())
@settings(max_examples=20)
def test_an_error_of_the_disk_is_no_answer_to_bad_bytes(data, tmp_path_factory):
    raised = data.draw(st.sampled_from([StorageError, OSError, MemoryError]))

    def parse(_data, _folder):
        if raised is StorageError:
            raise StorageError(path="a", problem="b")
        raise raised

    parser = Parser(name="disk", samples=(b"a",), parse=parse)
    folder = tmp_path_factory.getbasetemp()
    assert isinstance(fault(parser, b"a", folder), raised)


def test_bad_data_is_an_answer(tmp_path):
    def parse(_data, _folder):
        raise DataError(thing="a", problem="b", expected="c")

    assert fault(Parser(name="a", samples=(b"",), parse=parse), b"", tmp_path) is None

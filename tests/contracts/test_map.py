"""A map: the function's own rows, to the bit, under any setting and wherever it was cut."""

from __future__ import annotations

import hashlib
from functools import partial

import numpy as np
import pytest
import zarr

import lowmem
from lowmem.base.errors import (
    DataError,
    JobDefinitionError,
    OptionValueError,
    UsageError,
)
from lowmem.base.workspace import Workspace
from lowmem.mapping import map_description, work
from lowmem.mapping.map_source import find_source
from lowmem.mapping.source_rows import open_rows
from lowmem.protocol.planning import PlanContext
from lowmem.stores.row_writer import RowWriter
from tests.driver import Cutter
from tests.driver import drive as driven
from tests.objects import write_array

N_ROWS, CHUNK_ROWS = 83, 8
VALUES = np.random.default_rng(3).standard_normal((N_ROWS, 6, 4)).astype(np.float32)


def lines(rows):
    return np.stack([rows.max(axis=(1, 2)), rows[:, 0, 0] * 3], axis=1)


EXPECTED = lines(VALUES)


def write_rows(folder, codec="none"):
    writer = RowWriter.open(
        folder / "rows.zarr",
        "rows",
        row_shape=VALUES.shape[1:],
        dtype=VALUES.dtype,
        chunk_rows=CHUNK_ROWS,
        codec=codec,
    )
    for start in range(0, N_ROWS, CHUNK_ROWS):
        writer.append(VALUES[start : start + CHUNK_ROWS])
    writer.flush()
    return folder / "rows.zarr"


def write_foreign(folder, **how):
    array = zarr.create_array(
        folder / "rows.zarr", shape=VALUES.shape, dtype=VALUES.dtype, **how
    )
    array[:] = VALUES


SOURCES = {
    "plain": write_rows,
    "lz4": partial(write_rows, codec="lz4"),
    "zstd": partial(write_rows, codec="zstd"),
    "format 2": partial(write_foreign, chunks=(8, 6, 4), zarr_format=2),
    "sharded": partial(write_foreign, chunks=(4, 6, 4), shards=(16, 6, 4)),
    "gzip": partial(
        write_foreign, chunks=(8, 3, 4), compressors=[zarr.codecs.GzipCodec()]
    ),
}


@pytest.fixture(autouse=True)
def short_blocks(monkeypatch):
    monkeypatch.setattr(work, "calls_in_block", lambda *_: 2)


def job_of(function, **how):
    return lowmem.map(**{"source": "rows.zarr", "out": "out.zarr", "rows": 8, **how})(
        function
    )


def drive(job, space, leave_after=None, **how):
    """Commit after each block only where the job is to be cut: a commit waits for a disk."""
    steps = 99 if leave_after is None else 1
    return driven(job, space, cycle_steps=steps, leave_after=leave_after, **how)


def plan_context(space, job, **options):
    given = {option.name: option.default for option in job.options}
    return PlanContext(
        workspace=Workspace.at(space),
        options={**given, **options},
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
    )


def files_of(store):
    return {
        str(file.relative_to(store)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(store.rglob("*"))
        if file.is_file()
    }


@pytest.mark.parametrize("kind", SOURCES)
def test_a_call_gets_its_rows_of_any_store_read_only(tmp_path, kind):
    SOURCES[kind](tmp_path)
    source = find_source("rows.zarr", Workspace.at(tmp_path))
    assert source.row_bytes == VALUES[0].nbytes
    for size in (8, 5, 30, 100):
        reader = open_rows(source, call_rows=size, held=1)
        for start in range(0, N_ROWS, size):
            rows = reader.read(start, min(start + size, N_ROWS))
            np.testing.assert_array_equal(rows, VALUES[start : start + size])
            assert not rows.flags.writeable


def test_a_map_is_the_function_of_the_rows_whatever_is_held(tmp_path):
    write_rows(tmp_path)
    found = set()
    for n, (rows, held) in enumerate([(8, 1), (8, 4), (5, 2)]):
        job = job_of(lines, name=f"lines{n}", out=f"out{n}.zarr", rows=rows)
        summary = drive(job, tmp_path, settings={"held": held})
        array = zarr.open_group(tmp_path / f"out{n}.zarr", mode="r")[f"out{n}"]
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array[:], EXPECTED)
        assert (summary["n"], summary["rows_of_a_call"]) == (N_ROWS, rows)
        found.add(tuple(files_of(tmp_path / f"out{n}.zarr" / f"out{n}").items()))
    # Of the same rows a call, what is held changes no file.
    assert len(found) == 2


def test_a_file_of_numpy_is_mapped_and_a_result_may_be_compressed(tmp_path):
    np.save(tmp_path / "rows.npy", np.asfortranarray(VALUES))
    job = job_of(lines, source=str(tmp_path / "rows.npy"), codec="zstd", rows=7)
    drive(job, tmp_path)
    array = zarr.open_array(tmp_path / "out.zarr" / "out", mode="r")
    np.testing.assert_array_equal(array[:], EXPECTED)
    assert len(array.metadata.codecs) == 3


def test_a_map_cut_after_each_commit_has_the_files_of_one_never_cut(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for space in (whole, cut):
        space.mkdir()
        write_rows(space)
    drive(job_of(lines), whole)
    n_runs = 1
    while drive(job_of(lines), cut, settings={"held": n_runs}, leave_after=1) is None:
        n_runs += 1
    # Six blocks, and the commit before the result takes its place.
    assert n_runs == 8
    assert files_of(cut / "out.zarr") == files_of(whole / "out.zarr")


def test_a_resume_reads_one_call_of_what_is_done_and_no_more(tmp_path):
    array = write_rows(tmp_path) / "rows"
    drive(job_of(lines), tmp_path, leave_after=5)
    # All but the last of the ten chunks that are done.
    for chunk in range(9):
        file = array / f"c.{chunk}.0.0"
        file.write_bytes(bytes(file.stat().st_size - 4) + file.read_bytes()[-4:])
    drive(job_of(lines), tmp_path)
    result = zarr.open_array(tmp_path / "out.zarr" / "out", mode="r")[:]
    np.testing.assert_array_equal(result, EXPECTED)


def test_a_plan_does_not_read_a_file_that_is_as_it_was_at_the_commit(
    tmp_path, monkeypatch
):
    file = tmp_path / "rows.npy"
    np.save(file, VALUES)
    job = job_of(lines, source=str(file))
    ctx = plan_context(tmp_path, job)
    first = job.inputs(ctx)
    recipe = {"source (data)": first["source"]}
    drive(job, tmp_path, leave_after=1, recipe=recipe)
    monkeypatch.setattr(map_description, "fingerprint", lambda _: "read")
    assert job.inputs(ctx)["source"] == first["source"]
    file.write_bytes(file.read_bytes())
    assert job.inputs(ctx)["source"] == "read"


CALLS = []
REFUSED = {
    "centred": (lambda x: x - x.mean(axis=0), "row 0 among 8 rows"),
    "running": (lambda x: np.cumsum(x[:, 0, 0]), "row 1 among 8 rows"),
    "turned": (lambda x: x[::-1], "row 0 among 8 rows"),
    "ranked": (lambda x: x[:, 0, 0].argsort(), "row 0 among 8 rows"),
    "drawn": (lambda x: np.random.rand(len(x)), "then another value for row 0"),
    "counted": (lambda x: CALLS.append(0) or x + len(CALLS), "then another value"),
    "filtered": (lambda x: x[x[:, 0, 0] > 0], "one row for each of the 8"),
    "summed": (lambda x: x.sum(), "returned float32 for rows 0 to 7"),
    "listed": (list, "returned list for rows 0 to 7"),
    "complex": (lambda x: x + 1j, "returned complex64 for rows 0 to 7"),
    "squeezed": (lambda x: x[:, 0, 0].reshape(-1, min(len(x), 2)), "the shape"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_function_of_each_row_is_refused_before_the_work(tmp_path, name):
    function, words = REFUSED[name]
    write_rows(tmp_path)
    overseer = Cutter()
    with pytest.raises(JobDefinitionError, match=words):
        drive(job_of(function, name="no"), tmp_path, overseer=overseer)
    assert not overseer.cycles


def test_another_type_or_number_of_rows_is_refused_where_it_first_comes(tmp_path):
    write_rows(tmp_path)

    def of_first(changed):
        return lambda x: changed(x) if x[0, 0, 0] == VALUES[40, 0, 0] else lines(x)

    changes = {
        "a": (lambda x: lines(x).astype("f8"), r"float64 for rows 40 to 47.*float32"),
        "b": (lambda x: lines(x)[:, :1], r"shape \(1,\) of float32 for rows 40 to 47"),
        "c": (lambda x: lines(x)[1:], r"\(7, 2\) for rows 40 to 47"),
    }
    for name, (changed, words) in changes.items():
        with pytest.raises(JobDefinitionError, match=words):
            drive(job_of(of_first(changed), name=name), tmp_path)


def test_what_rounds_otherwise_in_other_blocks_is_exact_and_said(tmp_path):
    write_rows(tmp_path)

    def rounding(x):
        # As a product of matrices does: other last digits for another number of rows.
        return x[:, 0, 0] * np.float32(1 + len(x) * 1e-6)

    results = []
    for name, held in (("a", 1), ("b", 4)):
        overseer = Cutter(leave_after=1)
        job = job_of(rounding, name=name, out=f"{name}.zarr")
        drive(job, tmp_path, 1, settings={"held": held}, overseer=overseer)
        drive(job, tmp_path, settings={"held": 5 - held})
        assert len(overseer.notes) == 1
        assert "always 8, which belongs to the recipe" in overseer.notes[0]
        results.append(zarr.open_array(tmp_path / f"{name}.zarr" / name, mode="r")[:])
    np.testing.assert_array_equal(*results)


def test_a_function_that_gives_other_values_by_now_does_not_go_on(tmp_path):
    write_rows(tmp_path)
    drive(job_of(lines), tmp_path, leave_after=2)
    with pytest.raises(JobDefinitionError, match=r"for row 24, of which .*--restart"):
        drive(job_of(lambda x: lines(x) * 2, name="lines"), tmp_path)
    drive(job_of(lambda x: lines(x) * 1, name="lines"), tmp_path)


def test_rows_are_read_only_and_an_error_says_at_which_rows(tmp_path):
    for source in (write_rows(tmp_path), tmp_path / "rows.npy"):
        np.save(tmp_path / "rows.npy", VALUES)

        def spoil(x):
            x *= 2
            return x

        with pytest.raises(ValueError, match="read-only") as caught:
            drive(job_of(spoil, source=str(source)), tmp_path)
        assert caught.value.__notes__ == ["lowmem: for rows 0 to 7 of the source"]


def test_a_damaged_chunk_is_named_and_its_rows_are_not_mapped(tmp_path):
    array = write_rows(tmp_path) / "rows"
    file = array / "c.4.0.0"
    file.write_bytes(b"\xff" + file.read_bytes()[1:])
    with pytest.raises(DataError, match=r"c\.4\.0\.0 .*samples 32 to 39"):
        drive(job_of(lines), tmp_path)


def test_a_source_is_found_here_or_in_the_workspace_and_never_guessed(
    tmp_path, monkeypatch
):
    space, here = tmp_path / "space", tmp_path / "here"
    space.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    job = job_of(lines)
    check = partial(job.check, plan_context(space, job))
    with pytest.raises(DataError, match=r"rows\.zarr is missing, and in"):
        check()
    write_rows(space)
    check()
    store = write_rows(here)
    with pytest.raises(UsageError, match="expected one of them"):
        check()
    job.check(plan_context(space, job, source=str(store)))
    with pytest.raises(UsageError, match="onto itself"):
        job_of(lines, out="rows.zarr").check(
            plan_context(space, job, source=str(space / "rows.zarr"))
        )
    write_group = zarr.open_group(here / "two.zarr", mode="w")
    for name in "ab":
        write_group.create_array(name, data=np.arange(3))
    with pytest.raises(DataError, match="holds the arrays a, b"):
        job.check(plan_context(space, job, source="two.zarr"))
    write_array(here / "objects.npy", np.array([{}], object), here / "witness")
    with pytest.raises(DataError, match="expected numbers in one row or more"):
        job.check(plan_context(space, job, source="objects.npy"))
    assert not (here / "witness").exists()


def test_a_store_that_another_made_is_not_replaced(tmp_path):
    write_rows(tmp_path)
    job = job_of(lines)
    drive(job, tmp_path)
    job.check(plan_context(tmp_path, job))
    with pytest.raises(UsageError, match="no result of other"):
        job_of(lines, name="other").check(plan_context(tmp_path, job))


@pytest.mark.parametrize("out", ["out", "../out.zarr", "/a/out.zarr", ".lowmem/a.zarr"])
def test_a_result_has_the_plain_name_of_a_store(out):
    with pytest.raises(OptionValueError, match="expected the name of a store"):
        lowmem.map(out=out)


def test_the_recipe_holds_how_many_rows_a_call_has_and_where_it_goes(tmp_path):
    write_rows(tmp_path)
    job = job_of(lines, rows=None, out="a/out.zarr/x")
    inputs = job.inputs(plan_context(tmp_path, job))
    # 4 MiB of 96 bytes each, in whole chunks.
    assert inputs["rows of a call"] == "43688"
    assert inputs["out"] == "a/out.zarr/x"

"""What a job reads is what it was when it was planned, at each commit and between runs."""

from __future__ import annotations

import os
import shutil
import sys

import numpy as np
import pytest
import zarr

from lowmem.base.errors import DataError
from lowmem.base.errors_recipe import RecipeChangedError
from lowmem.protocol.messages import Plan, Run
from lowmem.protocol.recipe import is_same_data, recipe_changes
from lowmem.stores.metadata import fingerprint
from lowmem.stores.row_writer import RowWriter
from lowmem.worker import cycles, input_checks
from lowmem.worker.cycles import run_job
from lowmem.worker.dispatch import plan
from lowmem.worker.input_checks import content_of, input_at, stamp_of
from lowmem.worker.registry import find_job
from tests.driver import Cutter

READS = """
import lowmem
@lowmem.job(
    options=[lowmem.Option(name="data", kind="path")],
    needs=lambda plan: [lowmem.Need(path=plan.workspace.root / "z.npy", job="own")],
)
def reads(ctx):
    'Take five steps.'
    for n in range(ctx.state.get("n", 0), 5):
        yield lowmem.CommitPoint(items=1, state={"n": n + 1})
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(cycles, "clean_up", lambda: 0)


@pytest.fixture(params=["settled", "fresh"], autouse=True)
def clock(request, monkeypatch):
    """Files that were left alone for long, and such as were just written."""
    settled_ns = 0 if request.param == "settled" else 10**15
    monkeypatch.setattr(input_checks, "_SETTLED_NS", settled_ns)


# --- what there may be, and a change of it that keeps every size ------------------------


def file_of(folder, value=b"3"):
    path = folder / "table.csv"
    path.write_bytes(value * 100)
    return path


def folder_of(folder, value=b"3"):
    path = folder / "tables"
    (path / "deep").mkdir(parents=True, exist_ok=True)
    (path / "deep" / "table.csv").write_bytes(value * 100)
    (path / "same.csv").write_bytes(b"1")
    return path


def store_of(folder, value=b"3", **how):
    path = folder / "data.zarr"
    shutil.rmtree(path, ignore_errors=True)
    group = zarr.open_group(path, mode="w", **how)
    # Compressors off: the size of a chunk does not depend on what is in it.
    array = group.create_array(
        "x", shape=(8,), chunks=(4,), dtype="i4", compressors=None
    )
    array[:] = int(value)
    return path


def old_store_of(folder, value=b"3"):
    return store_of(folder, value, zarr_format=2)


def link_of(folder, value=b"3"):
    target = folder / f"table-{value.decode()}.csv"
    target.write_bytes(value * 100)
    path = folder / "link.csv"
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    return path


def linked_folder_of(folder, value=b"3"):
    path, target = folder / "tables", folder / f"others-{value.decode()}"
    path.mkdir(exist_ok=True)
    target.mkdir(exist_ok=True)
    (target / "table.csv").write_bytes(value * 100)
    (path / "link").unlink(missing_ok=True)
    (path / "link").symlink_to(target)
    return path


def link_within_of(folder, value=b"3"):
    path = folder / "tables"
    path.mkdir(exist_ok=True)
    for one in (b"3", b"7"):
        (path / one.decode()).mkdir(exist_ok=True)
        (path / one.decode() / "table.csv").write_bytes(one * 100)
    (path / "link").unlink(missing_ok=True)
    (path / "link").symlink_to(value.decode())
    return path


MAKERS = [
    file_of,
    folder_of,
    store_of,
    old_store_of,
    link_of,
    linked_folder_of,
    link_within_of,
]


def planned(tmp_path, data):
    job = tmp_path / "reads_job.py"
    job.write_text(READS)
    space = tmp_path / "w"
    space.mkdir(exist_ok=True)
    if not (space / "z.npy").exists():
        np.save(space / "z.npy", np.zeros(8))
    request = Plan(
        reference=str(job),
        workspace=str(space),
        options={"data": str(data)},
        pins={},
        seed=1,
        device="cpu",
        ram_budget_bytes=10**9,
    )
    return request, plan(request)


def run(request, answer, overseer):
    return run_job(
        find_job(request.reference),
        Run(
            reference=request.reference,
            job="reads",
            workspace=request.workspace,
            options=request.options,
            settings={},
            recipe=answer.recipe,
            inputs=answer.inputs,
            seed=1,
            device="cpu",
            ram_budget_bytes=10**9,
            vram_budget_bytes=None,
            cycle_steps=1,
        ),
        overseer,
    )


class Changer(Cutter):
    """An overseer in whose time something changes, after the second commit."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def committed(self, cycle, returned_bytes):
        if cycle.index == 1:
            self.change()
        return super().committed(cycle, returned_bytes)


@pytest.mark.parametrize("make", MAKERS)
def test_an_input_that_changes_within_an_attempt_is_refused_before_the_next_commit(
    tmp_path, make
):
    data = make(tmp_path)
    times = {p: p.stat() for p in [data, *data.rglob("*")] if p.exists()}

    def change():
        make(tmp_path, b"7")
        for path, then in times.items():
            os.utime(path, ns=(then.st_atime_ns, then.st_mtime_ns))

    cutter = Changer(change)
    with pytest.raises(
        RecipeChangedError, match=r"data \(content\) was .*changed while"
    ):
        run(*planned(tmp_path, data), cutter)
    assert [cycle.index for cycle in cutter.cycles] == [0, 1]
    # Next time it is refused by its recipe; with the former data it goes on from there.
    before = planned(tmp_path, make(tmp_path))[1].recipe
    other = planned(tmp_path, make(tmp_path, b"7"))[1].recipe
    assert list(recipe_changes(before, other)) == ["data (content)"]
    make(tmp_path)
    cutter = Cutter()
    assert run(*planned(tmp_path, data), cutter) is not None
    assert cutter.cycles[0].index == 2


@pytest.mark.parametrize("make", MAKERS)
def test_one_that_changes_between_two_attempts_of_a_run_is_refused_before_any_work(
    tmp_path, make
):
    data = make(tmp_path)
    request, answer = planned(tmp_path, data)
    assert run(request, answer, Cutter(leave_after=2)) is None
    make(tmp_path, b"7")
    cutter = Cutter()
    with pytest.raises(RecipeChangedError, match=r"data \(content\)"):
        run(request, answer, cutter)
    assert not cutter.cycles


@pytest.mark.parametrize("make", [file_of, folder_of, link_of])
def test_one_that_is_gone_is_refused(tmp_path, make):
    data = make(tmp_path)

    def remove():
        data.rename(tmp_path / "elsewhere")

    with pytest.raises(RecipeChangedError, match="now None"):
        run(*planned(tmp_path, data), Changer(remove))


def test_a_need_that_is_made_again_is_refused_within_an_attempt_and_after_the_end(
    tmp_path,
):
    data, need = file_of(tmp_path), tmp_path / "w" / "z.npy"

    def change():
        np.save(need, np.ones(8))

    with pytest.raises(RecipeChangedError, match=r"z\.npy \(content\)"):
        run(*planned(tmp_path, data), Changer(change))
    done = planned(tmp_path, data)[1].recipe
    np.save(need, np.zeros(8))
    assert list(recipe_changes(done, planned(tmp_path, data)[1].recipe)) == [
        "z.npy (content)"
    ]


def test_what_is_written_anew_with_the_same_bytes_is_no_other_input(tmp_path):
    data = folder_of(tmp_path)

    def touch():
        shutil.rmtree(data)
        folder_of(tmp_path)

    assert run(*planned(tmp_path, data), Changer(touch)) is not None


def test_a_recipe_of_an_older_lowmem_is_of_the_same_data(tmp_path):
    for make in (folder_of, store_of):
        data = make(tmp_path)
        now = content_of(data)
        key = "data (content)"
        assert not recipe_changes({key: fingerprint(data)}, {key: now})
        # The one that had two parts as well.
        assert not recipe_changes({key: f"{fingerprint(data)}.older"}, {key: now})
        make(tmp_path, b"7")
        assert recipe_changes({key: now}, {key: content_of(data)})


def test_of_chunks_that_end_in_their_checksum_no_more_is_read(tmp_path, monkeypatch):
    store = tmp_path / "own.zarr"
    writer = RowWriter.open(
        store, "x", row_shape=(3,), dtype=np.float32, chunk_rows=4, n_rows=0
    )
    writer.append(np.ones((4, 3), np.float32))
    writer.flush()
    array = (store / "x").resolve()
    n_whole = []

    def counted(path):
        if path.parent != array and array in path.parents:
            n_whole.append(path)
        return fingerprint(path)

    monkeypatch.setattr(input_checks, "fingerprint", counted)
    assert is_same_data(fingerprint(store), content_of(store))
    assert not n_whole
    folder = tmp_path / "linked"
    folder.mkdir()
    (folder / "store").symlink_to(store)
    # Behind a link nothing of it is told otherwise.
    first = content_of(folder)
    chunk = max(store.rglob("*"), key=lambda p: p.stat().st_size * p.is_file())
    chunk.write_bytes(bytes(reversed(chunk.read_bytes())))
    assert content_of(folder) != first


def test_a_link_to_a_folder_above_leads_nowhere_and_one_to_nothing_is_told(tmp_path):
    data = folder_of(tmp_path)
    (data / "loop").symlink_to(data)
    first = input_at(data).content
    assert input_at(data).content == first
    (data / "lonely").symlink_to("nowhere")
    second = input_at(data).content
    (data / "lonely").unlink()
    (data / "lonely").symlink_to("elsewhere")
    assert len({first, second, input_at(data).content}) == 3
    assert stamp_of(tmp_path / "absent") == ""


def test_a_name_that_is_no_text_is_a_name(tmp_path):
    data = folder_of(tmp_path)
    odd = data / os.fsdecode(b"\xff.csv")
    odd.write_bytes(b"3")
    first = input_at(data).content
    odd.write_bytes(b"7")
    assert input_at(data).content != first


def test_a_pipe_in_a_folder_is_named(tmp_path):
    data = folder_of(tmp_path)
    os.mkfifo(data / "pipe")
    with pytest.raises(DataError, match="pipe"):
        input_at(data)
